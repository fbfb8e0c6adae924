"""What is checked before the first trial of a sweep: that train.py takes every value, and that folders are free."""

from pathlib import Path

from rich.progress import track

from cli.config_files import configs_first
from cli.dry_run import planned_run
from common.errors import RunError
from experiments.sweeps.sweep_file import Settings, SweepFile
from experiments.sweeps.worker import settings_line


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
    planned = sweep.planned() or []
    runs = [
        planned_run(trial_arguments(sweep, settings, extra))
        for settings in track(planned, "checking trials", transient=True)
    ]
    if taken := [run.path for run in runs if run.holds_results()]:
        raise RunError(
            f"{taken[0]} holds an earlier run ({len(taken)} of {len(runs)} trials would meet one); move them away, or "
            "give the sweep another place with `-- --run.root FOLDER`"
        )
