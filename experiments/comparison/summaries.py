"""Cells of the table of a comparison: which metrics are shown, under which names, and their means over runs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from common.directions import AUDIO_TO_TEXT, DIRECTIONS, TEXT_TO_AUDIO, Direction
from common.errors import RunError
from evaluation.metrics import GEOMETRIC, geometric_recall, lower_is_better
from experiments.results.experiment import Experiment

Floats = npt.NDArray[np.float64]


class Metric(NamedTuple):
    """A metric of one direction, as "text_to_audio" and "mAP@10"; in some papers' tables it has another name."""

    direction: str
    name: str
    printed: str = ""

    def __str__(self) -> str:
        return f"{self.direction.replace('_', ' ')} {self.header}"

    @property
    def header(self) -> str:
        """Its name in a table."""
        return self.printed or self.name

    @property
    def key(self) -> str:
        """Its name on the command line."""
        return f"{self.direction}/{self.name}"

    @property
    def is_rank(self) -> bool:
        """Whether less is better, and percent make no sense."""
        return lower_is_better(self.name)


PRIMARY = Metric("text_to_audio", "mAP@10")  # what the paper tests

FORMS: dict[str, dict[Direction, dict[str, str]]] = {
    "xie2024": {  # nDCG@10 where the data know graded relevance
        TEXT_TO_AUDIO: dict.fromkeys(("mAP@10", "R@1", "R@5", "R@10", "nDCG@10"), ""),
        AUDIO_TO_TEXT: dict.fromkeys(("mAP@10", "mAP@10_all", "R@1", "R@5", "R@10", "nDCG@10"), ""),
    },
    "oncescu2021": {
        TEXT_TO_AUDIO: {"R@1": "", "R@5": "", "R@10": "", "median_rank": "MdR"},
        AUDIO_TO_TEXT: {"hit@1": "R@1", "hit@5": "R@5", "hit@10": "R@10", "median_rank": "MdR"},
    },
}
"""Columns of the tables of papers: our names of metrics, and the paper's where they are others."""

NOTES = {
    "mAP@10_all": "Audio to text mAP@10_all divides by all captions of a recording, as Xie et al. 2024 print it; "
    "mAP@10 by those found.",
    "hit@10": "Audio to text R@k is hit@k: whether any caption of the recording is among the first k.",
}
"""What has to be said of audio-to-text columns."""


class Summary(NamedTuple):
    """Mean over runs of the mean over queries, its sample standard deviation (NaN for one run), number of runs."""

    mean: float
    sd: float
    runs: int


def shown_metrics(
    experiments: Sequence[Experiment], asked: Sequence[Metric] = (), form: str = "xie2024"
) -> list[Metric]:
    """Columns of the table: those of a paper's form that any experiment has, and those asked for."""
    shown: dict[str, Metric] = {}
    for direction in DIRECTIONS:
        columns = [Metric(direction, *column) for column in FORMS[form][direction].items()]
        for metric in (*columns, *(metric for metric in asked if metric.direction == direction)):
            if any(run_means(experiment, metric) is not None for experiment in experiments):
                shown.setdefault(metric.key, metric)
    return list(shown.values())


def notes_on(metrics: Sequence[Metric]) -> list[str]:
    """Sentences on columns whose name means different things in different papers."""
    names = {metric.name for metric in metrics if metric.direction == AUDIO_TO_TEXT and metric.header != metric.name}
    names |= {"mAP@10_all"} & {metric.name for metric in metrics if metric.direction == AUDIO_TO_TEXT}
    return [note for name, note in NOTES.items() if name in names]


def metrics_to_test(experiments: Sequence[Experiment], asked: Sequence[str] = ()) -> list[Metric]:
    """Text to audio mAP@10, then each asked for; see `metrics_named`."""
    return metrics_named(experiments, [PRIMARY.key, *asked])


def metrics_named(experiments: Sequence[Experiment], names: Sequence[str]) -> list[Metric]:
    """The metrics of names: "R@1" in both directions, "audio_to_text/R@1" in one.

    Raises:
        RunError: an experiment does not have one.
    """
    metrics: list[Metric] = []
    for name in names:
        direction, slash, bare = name.rpartition("/")
        metrics += [Metric(side, bare) for side in ([direction] if slash else DIRECTIONS)]
    for metric in metrics:
        for experiment in experiments:
            known = experiment.directions.get(metric.direction)
            if known is None or metric.name not in known.scores:
                has = ", ".join(experiment.directions[DIRECTIONS[0]].scores)
                raise RunError(
                    f"{experiment.name} has no metric '{metric.key}'; it has {has}, each in both directions or "
                    f"in one, as in {PRIMARY.key}"
                )
    return list(dict.fromkeys(metrics))


def run_means(experiment: Experiment, metric: Metric) -> Floats | None:
    """The metric of each run (S,); None where the experiment has none. Queries without a value (NaN) are left out."""
    side = experiment.directions[metric.direction]
    match metric.name:
        case "median_rank":
            return np.asarray(np.median(side.first_rank, axis=1), dtype=np.float64)
        case "mean_rank":
            return np.asarray(side.first_rank.mean(axis=1))
        case "R_geo" if "hit@10" in side.scores:
            hits = zip(*(side.scores[name].mean(axis=1) for name in GEOMETRIC), strict=True)
            return np.array([geometric_recall(dict(zip(GEOMETRIC, run, strict=True))) for run in hits])
    scores = side.scores.get(metric.name)
    return None if scores is None or np.isnan(scores).all() else np.nanmean(scores, axis=1)


def summarise(experiment: Experiment, metric: Metric) -> Summary | None:
    """A cell of the table; None where the experiment has no such metric."""
    means = run_means(experiment, metric)
    if means is None:
        return None
    sd = float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
    return Summary(float(means.mean()), sd, len(means))
