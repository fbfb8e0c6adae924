"""An analysis as files: csv, unrounded and as fractions of 1, and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.analyses.calibration import CalibrationRow
from experiments.analyses.errors import NearMiss, RightRow
from experiments.analyses.hubs import HubRow
from experiments.analyses.performance import GroupRow
from experiments.analyses.runs import Method
from experiments.figures.analyses import draw_calibration, draw_hubness, draw_performance
from experiments.result_files import csv_text, write_together

FILES = (
    *("performance.csv", "hubness.csv", "k_occurrence.csv", "calibration.csv", "near_misses.csv", "errors.csv"),
    *("performance.png", "hubness.png", "calibration.png"),
)
"""All that an analysis may write."""


@dataclass(frozen=True)
class Analysis:
    """All that was found.

    Attributes:
        methods: that were analysed, on one pool.
        split: of it.
        reference: what the rarity of words was counted in.
        groups: performance by groups of queries.
        hubs: hubness of each run.
        calibration: of each method; empty where no run holds embeddings.
        near_misses: of all errors.
        right: how many errors are right, by source.
        notes: what could not be read.
    """

    methods: Sequence[Method]
    split: str
    reference: str
    groups: Sequence[GroupRow]
    hubs: Sequence[HubRow]
    calibration: Sequence[CalibrationRow]
    near_misses: Sequence[NearMiss]
    right: Sequence[RightRow]
    notes: Sequence[str]

    @property
    def queries(self) -> int:
        """The number Q of captions."""
        return len(self.methods[0].queries.queries)


def write_analysis(folder: Path, analysis: Analysis) -> None:
    """Write all files or, when one fails, none; without embeddings there is no calibration."""
    contents = {
        "performance.csv": _performance(analysis.groups),
        "hubness.csv": _hubness(analysis),
        "k_occurrence.csv": _occurrences(analysis),
        "calibration.csv": _calibration(analysis.calibration),
        "near_misses.csv": _near_misses(analysis.near_misses),
        "errors.csv": _errors(analysis.right),
        "performance.png": draw_performance(analysis.groups, "mAP@10"),
        "hubness.png": draw_hubness(analysis.hubs, analysis.queries),
        **({"calibration.png": draw_calibration(analysis.calibration)} if analysis.calibration else {}),
    }
    write_together(folder, contents, FILES)


def _performance(rows: Sequence[GroupRow]) -> str:
    header = ["property", "group", "metric", "method", "minus", "queries", "recordings", "mean", "low", "high", "p"]
    return csv_text(
        [*header, "p_holm"],
        [
            [
                *(row.property, row.group, row.metric, row.method, row.minus, row.result.queries),
                *(row.result.recordings, *map(_cell, (row.result.mean, row.result.low, row.result.high))),
                *((_cell(row.result.p), _cell(row.p_holm)) if row.minus else ("", "")),
            ]
            for row in rows
        ],
    )


def _hubness(analysis: Analysis) -> str:
    names = analysis.methods[0].names
    header = ["method", "run", "scores", "bank", "k", "skewness", "never", "largest", "largest_recording", "recall"]
    rows = [
        [
            *(row.method, row.run, row.scores, row.bank, row.k, row.found.skewness, row.found.never),
            *(row.found.largest, names[row.found.largest_item], row.recall),
        ]
        for row in analysis.hubs
    ]
    return csv_text(header, rows)


def _occurrences(analysis: Analysis) -> str:
    names = analysis.methods[0].names
    rows = [
        [row.method, row.run, row.scores, name, count]
        for row in analysis.hubs
        for name, count in zip(names, row.occurrences.tolist(), strict=True)
    ]
    return csv_text(["method", "run", "scores", "recording", "queries"], rows)


def _calibration(rows: Sequence[CalibrationRow]) -> str:
    header = ["method", "source", "runs", "from", "to", "pairs", "mean_score", "mean_relevance"]
    cells = [
        [row.method, row.source, row.runs, *(round(float(edge), 10) for edge in ends), int(pairs), score, relevance]
        for row in rows
        for *ends, pairs, score, relevance in zip(
            row.bins.edges,
            row.bins.edges[1:],
            row.bins.pairs,
            row.bins.mean_score,
            row.bins.mean_relevance,
            strict=False,
        )
        if pairs
    ]
    return csv_text(header, cells)


def _near_misses(rows: Sequence[NearMiss]) -> str:
    sources = list(dict.fromkeys(name for row in rows for name in row.relevance))
    header = ["method", "run", "query", "recording", "rank", "place", "near_miss", "captions", "score"]
    cells = [
        [
            *(row.method, row.run, row.query, row.own, row.own_rank, row.place, row.item, row.captions, row.score),
            *(_cell(row.relevance.get(name, np.nan)) for name in sources),
        ]
        for row in rows
    ]
    return csv_text([*header, *sources], cells)


def _errors(rows: Sequence[RightRow]) -> str:
    header = ["method", "run", "queries", "errors", "source", "errors_known", "best_right", "best_right_by_chance"]
    cells = [
        [
            *(row.method, row.run, row.queries, row.errors, row.source),
            *([""] * 5 if (found := row.found) is None else [found.errors, *map(_cell, found.shares)]),
        ]
        for row in rows
    ]
    return csv_text([*header, "any_of_three_right", "any_of_three_right_by_chance"], cells)


def _cell(value: float) -> float | str:
    return "" if np.isnan(value) else value
