"""Runs by the value of a setting, such as the share of the training data: one experiment for each value."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from common.errors import RunError
from common.settings import setting_at
from experiments.comparison.report import MAY_DIFFER, first_difference
from experiments.results.experiment import Experiment, find_runs, merged, read_experiments
from experiments.run_folder import RunFolder
from experiments.saved_config import read_saved_config


def number_of_run(run: Path, key: str) -> float:
    """The value of a setting in a run's saved config, by its key on the command line ("data.train_fraction").

    Raises:
        RunError: the run has no saved config or no such setting, or it is no number.
    """
    path = RunFolder(run).config
    if not path.is_file():
        raise RunError(f"{path}: no such file, so the run's {key} is not known; give runs of `python train.py fit`")
    try:
        value = setting_at(read_saved_config(path), key)
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: has no setting {key}; write it as on train.py's command line") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = f"a {type(value).__name__}" if isinstance(value, dict | list) else value
        raise RunError(f"{path}: {key} is {shown}, no number; give a setting that is one")
    return float(value)


def read_by_setting(folders: Sequence[Path], key: str, split: str = "test") -> dict[float, Experiment]:
    """The runs in folders of experiments or runs as one experiment for each value of a setting, in order.

    Raises:
        RunError: what `number_of_run` and `read_experiments` raise.
    """
    runs = [run for folder in folders for run in find_runs(folder, split)[0]]
    numbers = [number_of_run(run, key) for run in runs]
    by_value = defaultdict(list)
    for number, experiment in zip(numbers, read_experiments(runs, split), strict=True):
        by_value[number].append(experiment)
    return {number: merged(f"{number:g}", by_value[number]) for number in sorted(by_value)}


def other_differences(experiments: Sequence[Experiment], key: str) -> str:
    """Settings in which runs differ besides their seed and one that is meant to differ; empty: none."""
    first, *rest = key.split(".")
    meant = (key, ".".join([first, "init_args", *rest]))
    found = first_difference([run for experiment in experiments for run in experiment.runs], (*MAY_DIFFER, *meant))
    if found is None:
        return ""
    run, other, differences = found
    return f"{run} and {other} differ in more than {key}: {'; '.join(differences[:3])}"
