"""Carry out a sweep: `python sweep.py FILE`, a file in W&B's sweep form, also by its name in configs/sweeps/.

Start it once more after a kill and it does the rest; start it several times, on one machine or on several that share
`--storage`, and the workers divide the trials. What follows `--` goes to train.py in every trial.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from optuna.exceptions import StorageInternalError

from cli.config_files import CONFIGS, configs_first
from cli.dry_run import planned_run
from common.errors import RunError
from common.text import one_line
from experiments.run_folder import check_name
from experiments.sweeps.sweep_file import Settings, SweepFile, read_sweep
from experiments.sweeps.trials import Trials
from experiments.sweeps.worker import report, settings_line, work

SWEEPS = CONFIGS / "sweeps"


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
        sweep = replace(sweep, program=str(beside if beside.is_file() else CONFIGS.parent / sweep.program))
        check_name(sweep.name, "the sweep's name")
        check_trials(sweep, extra)
        folder = options.folder / sweep.name
        folder.mkdir(parents=True, exist_ok=True)
        trials = Trials(sweep, options.storage or f"sqlite:///{folder / 'study.db'}", folder, extra)
        if not any(trial.state.is_finished() or "worker" in trial.user_attrs for trial in trials.all()):
            check_folders(sweep, extra)
        if options.retry_failed:
            trials.retry_failed()
        work(sweep, trials, folder, partial(trial_arguments, sweep, extra=extra), planned_run)
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


if __name__ == "__main__":
    sys.exit(main())
