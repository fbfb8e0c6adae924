"""Metrics by groups of queries: the mean of each method, and its difference to the first one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.analyses.group_scores import GroupMean, group_mean
from evaluation.analyses.query_groups import Grouping, group_queries
from evaluation.significance import holm
from experiments.analyses.runs import Method
from experiments.analyses.sources import DataFacts

Floats = npt.NDArray[np.float64]

METRICS = ("mAP@10", "R@1", "R@10", "nDCG@10")
"""That are analysed, of those that all runs have."""


@dataclass(frozen=True)
class GroupRow:
    """One method in one group.

    Attributes:
        property, group: of the queries.
        metric: text to audio.
        method: name of it.
        minus: the method that it is the difference to; empty: the value is the method's own mean.
        result: fractions of 1, over the means of the method's runs.
        p_holm: of a difference, corrected over all groups of the same pair and metric; NaN for a mean.
    """

    property: str
    group: str
    metric: str
    method: str
    minus: str
    result: GroupMean
    p_holm: float


def groupings_of(method: Method, facts: DataFacts) -> list[Grouping]:
    """Groups of a method's queries, by words of the training captions where these are known."""
    events = None if facts.events is None else facts.events[method.own]
    every = Grouping("all", {"all": np.ones(len(method.queries.queries), dtype=np.bool_)})
    return [every, *group_queries(method.queries.queries, facts.training, events)]


def performance(methods: Sequence[Method], groupings: Sequence[Grouping]) -> list[GroupRow]:
    """Rows of all metrics, groups and methods, the differences to the first method after the means."""
    first = methods[0]
    rows: list[GroupRow] = []
    for metric in [name for name in METRICS if all(name in method.queries.scores for method in methods)]:
        values = {method.name: method.queries.scores[metric].mean(0) for method in methods}  # (Q,)
        for method in methods:
            rows += _rows(groupings, metric, method, "", values[method.name])
        for method in methods[1:]:
            rows += _rows(groupings, metric, method, first.name, values[method.name] - values[first.name])
    return rows


def _rows(groupings: Sequence[Grouping], metric: str, method: Method, minus: str, values: Floats) -> list[GroupRow]:
    clips = method.queries.clip_ids
    found = [
        (grouping.property, name, group_mean(values[inside], clips[inside]))
        for grouping in groupings
        for name, inside in grouping.groups.items()
    ]
    corrected = np.full(len(found), np.nan)
    p = np.array([result.p for *_, result in found])
    if minus and (tested := ~np.isnan(p)).any():
        corrected[tested] = holm(p[tested])
    return [
        GroupRow(kind, group, metric, method.name, minus, result, float(p_holm))
        for (kind, group, result), p_holm in zip(found, corrected, strict=True)
    ]
