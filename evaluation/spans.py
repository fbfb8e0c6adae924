"""Metrics of spans in time: how well predicted moments of a recording fit the annotated ones.

The protocol is that of QVHighlights (Lei et al. 2021, "QVHighlights: detecting moments and highlights in videos via
natural language queries"), which lighthouse evaluates audio moments by: R1 asks whether the best prediction meets any
annotated window, and AP is that of detection, with the interpolated precision of PASCAL VOC, a query at a time.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError

Floats = npt.NDArray[np.float64]

R1_THRESHOLDS = (0.5, 0.7)
"""IoU from which the best prediction counts for R1."""
AP_THRESHOLDS = tuple(np.round(np.arange(0.5, 0.951, 0.05), 2).tolist())
"""IoU from which a prediction counts for AP: 0.5, 0.55, ..., 0.95."""
NAMED = (0.5, 0.75)
"""Those of `AP_THRESHOLDS` that are reported alone too."""
MOST_PREDICTIONS = 10
"""Predictions of a query that count."""


def span_iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union (P, W) of spans (P, 2) and (W, 2), each a start and an end; 0 where both are empty.

    >>> span_iou(np.array([[0.0, 4.0]]), np.array([[2.0, 6.0], [0.0, 4.0], [5.0, 6.0]])).round(3).tolist()
    [[0.333, 1.0, 0.0]]
    """
    starts = np.maximum(first[:, None, 0], second[None, :, 0])  # (P, W)
    ends = np.minimum(first[:, None, 1], second[None, :, 1])
    common = np.maximum(ends - starts, 0)
    union = (first[:, 1] - first[:, 0])[:, None] + (second[:, 1] - second[:, 0]) - common
    # Rounding can take equal spans beyond 1.
    iou = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return np.asarray(np.minimum(iou, 1), dtype=np.float64)


def span_average_precision(predicted: Floats, annotated: Floats) -> Floats:
    """Average precision (T,) of one query's predictions at each IoU of `AP_THRESHOLDS`.

    From the best prediction on, each takes the annotated window that it overlaps most of those that are not taken and
    that it meets by the threshold; of two equally good ones the later, as in lighthouse. A prediction without one is
    false. The precision at a true prediction is the best of it and all after it; AP is its sum over the true ones,
    divided by the annotated windows.

    Args:
        predicted: (P, 2) float64 starts and ends in s, best first; P may be 0, which gives 0.
        annotated: (W, 2) float64, W at least 1.
    """
    least = np.array(AP_THRESHOLDS)[:, None]  # (T, 1)
    taken = np.zeros((len(least), len(annotated)), dtype=bool)
    true = np.zeros((len(least), len(predicted)), dtype=bool)
    rows = np.arange(len(least))
    for number, iou in enumerate(span_iou(predicted, annotated[::-1])):  # (W,)
        free = np.where(~taken & (iou >= least), iou, -1)  # (T, W)
        best = free.argmax(1)
        true[:, number] = free[rows, best] >= 0
        taken[rows, best] |= true[:, number]
    precision = true.cumsum(1) / np.arange(1, len(predicted) + 1)  # (T, P)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((envelope * true).sum(1) / len(annotated), dtype=np.float64)


def span_metrics(predicted: Sequence[Floats], annotated: Sequence[Floats]) -> dict[str, Floats]:
    """R1 and AP of Q queries: span_R1@0.5, span_R1@0.7, span_AP@0.5, span_AP@0.75; span_AP, the mean over thresholds.

    Args:
        predicted: for each query (P, 3) float64: start, end, score; in any order, of equal scores the first is first.
            The best ten count. None at all count as wrong.
        annotated: for each query (W, 2) float64, at least one.

    Returns:
        the values (Q,) float64 by name; their means are the metrics (`span_summary`).

    Raises:
        RelevanceError: another number of queries, none, a query without an annotated window, NaN or inf, a span that
            ends before it begins.

    >>> found = span_metrics([np.array([[0.0, 5.0, 0.2], [10.0, 20.0, 0.9]])], [np.array([[10.0, 16.0]])])
    >>> found["span_R1@0.5"].tolist(), found["span_R1@0.7"].tolist(), found["span_AP@0.5"].tolist()
    ([1.0], [0.0], [1.0])
    """
    if len(predicted) != len(annotated) or not annotated:
        raise RelevanceError(
            f"predictions of {len(predicted)} queries and windows of {len(annotated)}: give both alike"
        )
    columns: dict[str, list[float]] = {}
    for number, (guesses, windows) in enumerate(zip(predicted, annotated, strict=True)):
        _check(number, "prediction", guesses, 3)
        _check(number, "annotated window", windows, 2)
        if not len(windows):
            raise RelevanceError(f"query {number} has no annotated window: leave it out")
        best = guesses[np.argsort(-guesses[:, 2], kind="stable")[:MOST_PREDICTIONS], :2]
        first = float(span_iou(best[:1], windows).max(initial=0))
        precisions = span_average_precision(best, windows)
        values = {f"span_R1@{least:g}": float(first >= least) for least in R1_THRESHOLDS}
        values |= {f"span_AP@{least:g}": precisions[AP_THRESHOLDS.index(least)] for least in NAMED}
        values["span_AP"] = precisions.mean()
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in columns.items()}


def span_summary(columns: Mapping[str, Floats]) -> dict[str, float]:
    """Means over queries of what `span_metrics` gave, as span_R1@0.5, ..., span_mAP@0.5, ..., span_mAP."""
    return {name.replace("_AP", "_mAP"): float(values.mean()) for name, values in columns.items()}


def _check(query: int, what: str, spans: Floats, width: int) -> None:
    if spans.ndim != 2 or spans.shape[1] != width:
        raise RelevanceError(f"query {query}: a {what} array is of shape {spans.shape}: give (count, {width})")
    bad = ~np.isfinite(spans).all(1) | (spans[:, 1] < spans[:, 0])
    if bad.any():
        raise RelevanceError(f"query {query}: {what} {spans[bad][0].tolist()} is no span: give start <= end, in s")
