"""Bins of each run's scores with the relevance of their pairs, by every source of relevance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evaluation.analyses.score_calibration import ScoreBins, bins_of_scores
from experiments.analyses.runs import Method
from experiments.analyses.sources import Source
from experiments.combined.shared_pool import has_pool, read_shared_pool


@dataclass(frozen=True)
class CalibrationRow:
    """The bins of one method, all its runs together.

    Attributes:
        method: name of it.
        source: of relevance: "annotated", "known", "listed" or "rated".
        runs: how many of its runs hold embeddings.
        bins: of all pairs that the source knows.
    """

    method: str
    source: str
    runs: int
    bins: ScoreBins


def calibration(methods: Sequence[Method], sources: Sequence[Source], split: str) -> list[CalibrationRow]:
    """A row for each method and source; runs without embeddings of the split are left out.

    Raises:
        RunError: embeddings that cannot be read.
    """
    rows = []
    for method in methods:
        found: dict[str, list[ScoreBins]] = {source.name: [] for source in sources}
        for folder in (run.folder for run in method.runs if has_pool(run.folder, split)):
            (scores,) = read_shared_pool([folder], split).scores
            for source in sources:
                of_source = scores.select(torch.from_numpy(source.queries))
                found[source.name].append(bins_of_scores(of_source, _blocks_of(source)))
        rows += [
            CalibrationRow(method.name, name, len(bins), sum(bins[1:], start=bins[0]))
            for name, bins in found.items()
            if bins
        ]
    return rows


def _blocks_of(source: Source) -> Callable[[slice], Tensor]:
    return lambda rows: torch.from_numpy(source.relevance_of(np.arange(rows.start, rows.stop)))
