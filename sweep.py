"""Carry out a sweep: `python sweep.py FILE`, a file in W&B's sweep form, also by its name in configs/sweeps/.

Start it once more after a kill and it does the rest; start it several times, on one machine or on several that share
`--storage`, and the workers divide the trials. What follows `--` goes to train.py in every trial.
"""

import argparse
import contextlib
import io
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from optuna.exceptions import StorageInternalError
from rich.console import Console
from rich.markup import escape

from command_line import configs_first, one_line
from reporting.errors import RunError
from reporting.run_folder import RunFolder
from retrieval_cli import SettingsOnly
from sweeping.results import draw_sweep, print_results, rows_of_trials, write_csv
from sweeping.run_trial import run_trial
from sweeping.sweep_file import Settings, SweepFile, read_sweep
from sweeping.trials import Trials

HERE = Path(__file__).parent
HOPELESS_FAILURES = 3
SWEEPS = HERE / "configs" / "sweeps"


def main(arguments: list[str] | None = None) -> int:
    """Run trials until none is left; exit code 1 where one failed, or in one line for a mistake (2: flags)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    split = given.index("--") if "--" in given else len(given)
    extra = given[split + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", help="sweep file, or the name of one in configs/sweeps/")
    parser.add_argument("--name", help="of the sweep; default: the file's")
    parser.add_argument("--folder", type=Path, default=Path("runs/sweeps"), help="where results and logs go")
    parser.add_argument("--storage", help="URL of an Optuna storage; default: sqlite, in the sweep's folder")
    parser.add_argument("--retry-failed", action="store_true", help="run trials that failed once more")
    options = parser.parse_args(given[:split])
    try:
        sweep = read_sweep(find_sweep(options.file), options.name)
        beside = find_sweep(options.file).parent / sweep.program
        sweep = replace(sweep, program=str(beside if beside.is_file() else HERE / sweep.program))
        check_trials(sweep, extra)
        folder = options.folder / sweep.name
        folder.mkdir(parents=True, exist_ok=True)
        trials = Trials(sweep, options.storage or f"sqlite:///{folder / 'study.db'}", folder, extra)
        if not any(trial.state.is_finished() or "worker" in trial.user_attrs for trial in trials.all()):
            check_folders(sweep, extra)
        if options.retry_failed:
            trials.retry_failed()
        work(sweep, trials, folder, extra)
        failed = report(sweep, trials, folder)
    except (RunError, OSError, StorageInternalError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return int(failed)


def find_sweep(name: str) -> Path:
    """The file that a name means: as given, else in configs/sweeps/, with or without `.yaml`."""
    candidates = [Path(name), SWEEPS / name, SWEEPS / f"{name}.yaml"]
    return next((path for path in candidates if path.is_file()), Path(name))


def trial_arguments(sweep: SweepFile, settings: Settings, extra: list[str]) -> list[str]:
    """Arguments of train.py in a trial."""
    return configs_first([*sweep.arguments(settings), *extra])


def planned_run(arguments: list[str]) -> RunFolder:
    """The run folder that arguments of train.py lead to.

    Raises:
        RunError: train.py would refuse them.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning's, of arguments that are not this process's own
            return SettingsOnly(arguments).folder
    except SystemExit as error:
        raise RunError(said.getvalue().strip().removeprefix("error: ")) from error


def check_trials(sweep: SweepFile, extra: list[str]) -> None:
    """Whether train.py takes every value, and no two trials share a run folder; before the first trial begins.

    Raises:
        RunError: it does not, or they would.
    """
    first = {key: parameter.examples[0] for key, parameter in sweep.parameters.items()}
    others = [{**first, key: value} for key, parameter in sweep.parameters.items() for value in parameter.examples[1:]]
    folders: dict[Path, Settings] = {}
    for settings in [first, *others]:
        try:
            run = planned_run(trial_arguments(sweep, settings, extra)).path
        except RunError as error:
            raise RunError(f"a trial with {settings_line(settings)} cannot be run: {error}") from error
        if run in folders:
            key = next(key for key in settings if settings[key] != folders[run][key])
            raise RunError(
                f"trials that differ in {key} would share the run folder {run}; add to the command: --run.experiment "
                f"{sweep.name}_{{{key}}}"
            )
        folders[run] = settings


def check_folders(sweep: SweepFile, extra: list[str]) -> None:
    """Whether the planned trials have their run folders for themselves; for a sweep that is about to begin.

    Raises:
        RunError: an earlier run is in one.
    """
    runs = [planned_run(trial_arguments(sweep, settings, extra)) for settings in sweep.planned() or []]
    if taken := [run.path for run in runs if run.holds_results()]:
        raise RunError(
            f"{taken[0]} holds an earlier run ({len(taken)} of {len(runs)} trials would meet one); move them away, or "
            "give the sweep another place with `-- --run.root FOLDER`"
        )


def work(sweep: SweepFile, trials: Trials, folder: Path, extra: list[str]) -> None:
    """Claim and run trials until none is left."""
    console = Console(soft_wrap=True)
    failures: list[str] | None = []  # of the trials so far, until one goes well
    while (claim := trials.claim()) is not None:
        total = sweep.run_cap if sweep.method == "bayes" else len(sweep.planned() or [])
        console.print(escape(f"trial {claim.number} of {total}: {settings_line(claim.settings)}"))
        log = folder / f"trial_{claim.number:04}.log"
        try:
            arguments = trial_arguments(sweep, claim.settings, extra)
            ending = run_trial(sweep, trials, claim, arguments, planned_run(arguments), log)
        except RunError as error:
            trials.fail(claim, str(error), {})
            ending = f"failed: {error}"
        console.print(escape(f"  {ending}"))
        failures = [*failures, ending] if failures is not None and ending.startswith("failed") else None
        if failures is not None and len(failures) == HOPELESS_FAILURES:
            raise RunError(
                f"the first {HOPELESS_FAILURES} trials failed, the last one: {ending.removeprefix('failed: ')}; mend "
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
    return ", ".join(f"{key}={value}" for key, value in settings.items())


if __name__ == "__main__":
    sys.exit(main())
