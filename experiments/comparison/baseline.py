"""A run against the baseline that `run.baseline` names: paired tests right after its own test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.directions import DIRECTIONS
from common.errors import RunError
from experiments.comparison.paired_tests import PairTest
from experiments.comparison.summaries import PRIMARY, Metric
from experiments.results.experiment import Experiment, read_experiment
from experiments.run_folder import RunFolder

SPLIT = "test"
TESTED = [Metric(direction, PRIMARY.name) for direction in DIRECTIONS]
"""mAP@10 of both directions."""


def read_baseline(path: Path, folder: RunFolder) -> Experiment:
    """The results of a finished run, or of all runs of an experiment, that the run in `folder` is tested against.

    Raises:
        RunError: there are none, or they are of the run itself or of its experiment.
    """
    if path.resolve() in (folder.path.resolve(), folder.path.parent.resolve()):
        raise RunError(f"run.baseline is {path}, where this run is; give another experiment, or one run of it")
    try:
        return read_experiment(path, SPLIT)
    except RunError as error:
        raise RunError(f"run.baseline: {error}") from error


def check_same_data(baseline: Experiment, manifest: Mapping[str, Any]) -> None:
    """Whether a baseline was evaluated on the recordings of a split, by the split's manifest.

    Raises:
        RunError: it was not.
    """
    if baseline.manifest != manifest["sha256"]:
        raise RunError(
            f"run.baseline: {baseline.runs[0]} was evaluated on another pool ({baseline.own_recordings[0]} recordings, "
            f"manifest {baseline.manifest[:8] or 'unknown'}) than this run ({manifest['clips']}, "
            f"{manifest['sha256'][:8]}); give a baseline with the same test split, or leave run.baseline out"
        )


def logged_values(tests: list[PairTest]) -> dict[str, float]:
    """What is logged of the tests: difference (a fraction of 1), t and p over queries, p over recordings."""
    values: dict[str, float] = {}
    for test in tests:
        values |= {
            f"{SPLIT}/{test.metric.key}/against_baseline/{name}": value
            for name, value in (
                ("difference", test.over_queries.difference),
                ("t_over_queries", test.over_queries.t),
                ("p_over_queries", test.over_queries.p),
                ("p_over_recordings", test.over_clips.p),
            )
        }
    return values
