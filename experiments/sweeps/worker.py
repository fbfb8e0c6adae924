"""A worker of a sweep: claims trials and runs them until none is left."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from common.errors import RunError
from experiments.run_folder import RunFolder
from experiments.sweeps.parameters import options_of, value_text
from experiments.sweeps.results import draw_sweep, print_results, rows_of_trials, write_csv
from experiments.sweeps.run_trial import NOT_LOGGED, run_trial
from experiments.sweeps.sweep_file import Settings, SweepFile
from experiments.sweeps.trials import Trials

HOPELESS_FAILURES = 3


def work(
    sweep: SweepFile,
    trials: Trials,
    folder: Path,
    arguments_of: Callable[[Settings], list[str]],
    run_folder_of: Callable[[list[str]], RunFolder],
) -> None:
    """Claim and run trials until none is left.

    Args:
        sweep: the sweep.
        trials: its trials, shared with other workers.
        folder: of the logs.
        arguments_of: arguments of train.py for a trial's settings.
        run_folder_of: the run folder that such arguments lead to; RunError where train.py would refuse them.

    Raises:
        RunError: the first trials all failed.
    """
    console = Console(soft_wrap=True)
    failures: list[str] | None = []  # of the trials so far, until one goes well
    while (claim := trials.claim()) is not None:
        total = sweep.run_cap if sweep.method == "bayes" else len(sweep.planned() or [])
        console.print(escape(f"trial {claim.place} of {total}: {settings_line(claim.settings)}"))
        log = folder / f"trial_{claim.place:04}.log"
        try:
            arguments = arguments_of(claim.settings)
            ending = run_trial(sweep, trials, claim, arguments, run_folder_of(arguments), log)
        except RunError as error:
            trials.fail(claim, str(error), {})
            ending = f"failed: {error}"
        console.print(escape(f"  {ending}"))
        failures = [*failures, ending] if failures is not None and ending.startswith("failed") else None
        if failures and f"{sweep.metric} {NOT_LOGGED}" in failures[-1]:
            raise RunError(
                f"{failures[-1].removeprefix('failed: ')}; fix metric.name and give the sweep another --name"
            )
        if failures is not None and len(failures) == HOPELESS_FAILURES:
            raise RunError(
                f"the first {HOPELESS_FAILURES} trials failed, the last one: {ending.removeprefix('failed: ')}; fix "
                f"this, then start again with --retry-failed (logs: {folder})"
            )


def report(sweep: SweepFile, trials: Trials, folder: Path) -> bool:
    """Print and write what there is; whether a trial failed."""
    rows = rows_of_trials(sweep, trials.all())
    print_results(sweep, rows)
    write_csv(folder / "trials.csv", rows)
    print(f"table: {folder / 'trials.csv'}")
    if draw_sweep(folder / "figure.png", sweep, rows):
        print(f"figure: {folder / 'figure.png'}")
    unfinished = sum(row["state"] in ("running", "waiting") for row in rows)
    if unfinished:
        print(f"still with other workers: {unfinished} of {len(rows)}; the same command prints the table again")
    return any(row["state"] == "failed" for row in rows)


def settings_line(settings: Settings) -> str:
    """Settings in a line.

    >>> settings_line({"model.objective.tau": 0.1, "seed_everything": 0})
    'model.objective.tau=0.1, seed_everything=0'
    """
    return value_text(dict(option for key, value in settings.items() for option in options_of(key, value)))
