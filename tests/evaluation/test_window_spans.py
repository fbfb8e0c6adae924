"""Spans out of scores of windows: known moments are found, merged and not doubled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RelevanceError
from evaluation.spans import Floats, span_iou
from evaluation.window_spans import known_overlap, spans_from_scores, suppressed


def naive_stretch(scores: list[float], centres: list[float], peak: int, level: float, duration: float) -> list[float]:
    """Walks from the peak in steps of a hundredth along the curve."""
    least = min(scores) + level * (scores[peak] - min(scores))
    found = []
    for step, edge in ((-0.01, 0.0), (0.01, duration)):
        at = centres[peak]
        while centres[0] <= at <= centres[-1] and np.interp(at, centres, scores) >= least - 1e-12:
            at += step
        found.append(edge if not centres[0] <= at <= centres[-1] else at)
    return found


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.sampled_from([0.3, 0.5, 0.8]))
def test_spans_are_where_the_curve_stays_above_the_level(heights: list[int], level: float) -> None:
    scores = np.array([height / 10 for height in heights])
    starts = np.arange(len(scores), dtype=np.float64) * 2
    duration = float(starts[-1] + 5)
    found = spans_from_scores(scores, starts, 5.0, duration, level=level, most_iou=1.0, top=99)
    assert found[0, 2] == scores.max()
    assert (np.diff(found[:, 2]) <= 0).all()
    assert ((found[:, 0] >= 0) & (found[:, 0] < found[:, 1]) & (found[:, 1] <= duration)).all()
    centres = (starts + 2.5).tolist()
    best = int(scores.argmax())
    if scores.max() > scores.min():
        expected = naive_stretch(scores.tolist(), centres, best, level, duration)
        np.testing.assert_allclose(found[0, :2], expected, atol=0.011)
    else:
        np.testing.assert_array_equal(found, [[0, duration, scores[0]]])


def test_known_moments_are_found_exactly() -> None:
    starts = np.arange(0, 56.5, 0.5)
    annotated = np.array([[7.3, 12.0], [30.0, 47.7]])
    scores = known_overlap(starts, 4.0, annotated)
    found = spans_from_scores(scores, starts, 4.0, 60.0)
    np.testing.assert_allclose(found, [[7.3, 12.0, 1.0], [30.0, 47.7, 1.0]], atol=1e-9)


def test_a_moment_shorter_than_a_window_becomes_as_long_as_one() -> None:
    starts = np.arange(0, 51.0, 0.5)
    (found, *_) = spans_from_scores(known_overlap(starts, 10.0, np.array([[30.0, 32.0]])), starts, 10.0, 60.0)
    np.testing.assert_allclose(found, [26.0, 36.0, 0.2], atol=1e-9)


def test_one_window_is_the_whole_recording() -> None:
    np.testing.assert_array_equal(spans_from_scores(np.array([0.3]), np.array([0.0]), 6.0, 6.0), [[0, 6, 0.3]])


def test_scores_without_a_peak_are_the_whole_recording() -> None:
    np.testing.assert_array_equal(spans_from_scores(np.full(5, 0.3), np.arange(5.0), 2.0, 6.0), [[0, 6, 0.3]])


def test_the_overlap_is_that_of_counted_cells() -> None:
    annotated = np.array([[1.0, 2.5], [4.0, 9.0]])
    cells = np.arange(0, 12, 0.25) + 0.125
    inside = [any(start < at < end for start, end in annotated) for at in cells]
    starts = np.arange(0, 9.0)
    expected = [np.mean([i for i, at in zip(inside, cells, strict=True) if start < at < start + 3]) for start in starts]
    np.testing.assert_allclose(known_overlap(starts, 3.0, annotated), expected)


spans = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), min_size=1, max_size=10).map(
    lambda pairs: np.array([(start, start + length) for start, length in pairs], dtype=np.float64)
)


@given(spans, st.floats(0, 1), st.integers(1, 10))
def test_suppression_keeps_the_best_and_no_two_alike(found: Floats, most_iou: float, top: int) -> None:
    kept = suppressed(found, most_iou, top)
    assert kept[0] == 0
    assert len(kept) <= top
    iou = span_iou(found, found)
    for place in range(len(found)):
        better = [other for other in kept if other < place]
        overlaps = any(iou[place, other] > most_iou for other in better)
        assert (place in kept) == (not overlaps and len(better) < top)


@pytest.mark.parametrize(
    ("scores", "starts", "options", "message"),
    [
        ([], [], {}, r"scores \(0,\) of windows"),
        ([0.1], [0, 1], {}, r"scores \(1,\) of windows at \(2,\): give finite"),
        ([0.1, np.nan], [0, 1], {}, "give finite"),
        ([0.1, 0.2], [1, 0], {}, "do not ascend"),
        ([0.1], [0], {"level": 0.0}, "level 0.0, most_iou 0.5, top 10: give 0 < level < 1"),
        ([0.1], [0], {"level": 1.0}, "give 0 < level < 1"),
        ([0.1], [0], {"most_iou": 1.5}, "most_iou 1.5"),
        ([0.1], [0], {"top": 0}, "top 0"),
    ],
)
def test_what_gives_no_span_is_refused(
    scores: list[float], starts: list[float], options: dict[str, float], message: str
) -> None:
    with pytest.raises(RelevanceError, match=message):
        spans_from_scores(np.array(scores, float), np.array(starts, float), 1.0, 5.0, **options)  # type: ignore[arg-type]
