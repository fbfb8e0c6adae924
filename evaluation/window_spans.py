"""From scores of a recording's windows to spans in it."""

import numpy as np

from common.errors import RelevanceError
from evaluation.spans import MOST_PREDICTIONS, Floats, span_iou

LEVEL = 0.5
"""Between the lowest score of a recording and a peak: where the peak's span ends."""
MOST_IOU = 0.5
"""Spans that overlap a better one more are dropped."""


def spans_from_scores(
    scores: Floats,
    starts: Floats,
    window: float,
    duration: float,
    *,
    level: float = LEVEL,
    most_iou: float = MOST_IOU,
    top: int = MOST_PREDICTIONS,
) -> Floats:
    """The best spans of a recording, by scores of its windows: (P, 3) float64 start, end (s), score; best first.

    The scores are read as a curve over the windows' centres, straight between them. Each peak of the curve is a
    candidate, with the stretch around it in which the curve stays at or above `level` of the way from the lowest score
    to the peak; neighbouring windows are merged so. A stretch that takes in the first or last window reaches the
    recording's beginning or end. Then non-maximum suppression: of spans that overlap by more than `most_iou` the better
    one stays.

    With the overlap of windows and a moment as scores, and `level` 0.5, a moment that is at least as long as a window
    and half a window away from the ends is found exactly; of a shorter one the span is as long as a window. So windows
    should not be longer than the moments are.

    Args:
        scores: (W,) finite, higher is better; of equal peaks the earlier is first.
        starts: (W,) of the windows in s, ascending.
        window: their length in s.
        duration: of the recording in s.
        level: between 0 and 1; higher gives shorter spans. Near 0 one span takes in everything, near 1 a span is a
            point, which meets nothing.
        most_iou: from 0 to 1.
        top: spans at most.

    Raises:
        RelevanceError: no scores, NaN or inf among them, starts of another number or order, or numbers out of range.

    >>> spans_from_scores(np.array([0.0, 0.5, 1.0, 0.5, 0.0]), np.arange(5.0), 1.0, 5.0).tolist()
    [[1.5, 3.5, 1.0]]
    """
    if not (0 < level < 1 and 0 <= most_iou <= 1 and top >= 1):
        raise RelevanceError(f"level {level}, most_iou {most_iou}, top {top}: give 0 < level < 1, an IoU, at least 1")
    if scores.ndim != 1 or len(scores) == 0 or scores.shape != starts.shape or not np.isfinite(scores).all():
        raise RelevanceError(f"scores {scores.shape} of windows at {starts.shape}: give finite (W,), one a window")
    if (np.diff(starts) <= 0).any():
        raise RelevanceError("starts of windows do not ascend: give each window once, in its order")
    centres = starts + window / 2
    lowest = scores.min()
    before, after = np.append(-np.inf, scores[:-1]), np.append(scores[1:], -np.inf)
    is_peak = (scores >= before) & (scores >= after) & (scores > lowest)
    peaks = np.flatnonzero(is_peak) if is_peak.any() else np.array([0])  # all equal: the whole recording
    peaks = peaks[np.argsort(-scores[peaks], kind="stable")]
    edges = [_stretch(scores, centres, int(peak), lowest + level * (scores[peak] - lowest), duration) for peak in peaks]
    candidates = np.column_stack([np.array(edges), scores[peaks]]).astype(np.float64)  # (P, 3)
    return candidates[suppressed(candidates[:, :2], most_iou, top)]


def suppressed(spans: Floats, most_iou: float, top: int) -> list[int]:
    """Places of the spans (P, 2), best first, that stay: at most `top`, none overlapping a better one that stays more.

    >>> suppressed(np.array([[0.0, 4.0], [1.0, 4.0], [6.0, 9.0]]), 0.5, 10)
    [0, 2]
    """
    iou = span_iou(spans, spans)  # (P, P)
    kept: list[int] = []
    for place in range(len(spans)):
        if len(kept) < top and not (iou[place, kept] > most_iou).any():
            kept.append(place)
    return kept


def known_overlap(starts: Floats, window: float, annotated: Floats) -> Floats:
    """The share (W,) of each window that lies in annotated spans (A, 2): what a model that knows them would score.

    >>> known_overlap(np.array([0.0, 2.0, 4.0]), 4.0, np.array([[3.0, 8.0]])).tolist()
    [0.25, 0.75, 1.0]
    """
    starts, ends = starts[:, None], starts[:, None] + window
    common = np.minimum(ends, annotated[:, 1]) - np.maximum(starts, annotated[:, 0])  # (W, A)
    return np.asarray(np.minimum(np.maximum(common, 0).sum(1) / window, 1), dtype=np.float64)


def _stretch(scores: Floats, centres: Floats, peak: int, least: float, duration: float) -> tuple[float, float]:
    """Where the curve through the scores, followed from a peak to both sides, falls below `least`."""
    left = right = peak
    while left >= 0 and scores[left] >= least:
        left -= 1
    while right < len(scores) and scores[right] >= least:
        right += 1
    begin = 0.0 if left < 0 else _crossing(scores, centres, left, left + 1, least)
    end = duration if right == len(scores) else _crossing(scores, centres, right, right - 1, least)
    return max(begin, 0.0), min(end, duration)


def _crossing(scores: Floats, centres: Floats, below: int, above: int, least: float) -> float:
    """Where the line from a window below `least` to its neighbour, which is not below it, has that value."""
    share = (least - scores[below]) / (scores[above] - scores[below])
    return float(centres[below] + share * (centres[above] - centres[below]))
