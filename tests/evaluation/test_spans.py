"""Metrics of spans against loops over seconds, predictions and windows, and what must hold of any spans."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import RelevanceError
from evaluation.spans import (
    AP_THRESHOLDS,
    Floats,
    span_average_precision,
    span_iou,
    span_metrics,
    span_summary,
)


def spans(least: int, most: int) -> st.SearchStrategy[Floats]:
    """Spans on a grid of quarter seconds, so that some touch, hold each other or are equal."""
    edges = st.tuples(st.integers(0, 40), st.integers(1, 20))
    lists = st.lists(edges.map(lambda edge: (edge[0] / 4, (edge[0] + edge[1]) / 4)), min_size=least, max_size=most)
    return lists.map(lambda found: np.array(found, dtype=np.float64).reshape(-1, 2))


def counted_iou(first: tuple[float, float], second: tuple[float, float]) -> float:
    """By counting cells of a fine grid that are in both, and in either."""
    cells = np.arange(0, 20, 0.125) + 0.0625
    one, other = ((cells > start) & (cells < end) for start, end in (first, second))
    return float((one & other).sum() / (one | other).sum())


def naive_average_precision(predicted: Floats, annotated: Floats, threshold: float) -> float:
    """By its definition: precision at every recall, the best at that recall or beyond, summed over recalls."""
    taken: set[int] = set()
    hits = []
    for prediction in predicted:
        iou = [counted_iou(tuple(prediction), tuple(window)) for window in annotated]
        free = [(value, number) for number, value in enumerate(iou) if number not in taken and value >= threshold]
        if free:
            taken.add(max(free)[1])
        hits.append(bool(free))
    points = [(sum(hits[:k]) / len(annotated), sum(hits[:k]) / k) for k in range(1, len(hits) + 1)]
    area, reached = 0.0, 0.0
    for recall in sorted({recall for recall, _ in points}):
        area += (recall - reached) * max(precision for other, precision in points if other >= recall)
        reached = recall
    return area


@given(spans(1, 5), spans(1, 5))
def test_iou_is_symmetric_and_that_of_counted_cells(first: Floats, second: Floats) -> None:
    iou = span_iou(first, second)
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_array_equal(iou, span_iou(second, first).T)
    expected = [[counted_iou(tuple(a), tuple(b)) for b in second] for a in first]
    np.testing.assert_allclose(iou, expected, atol=1e-12)
    np.testing.assert_array_equal(np.diag(span_iou(first, first)), 1)


floats = st.floats(-1e6, 1e6)


@given(arrays(np.float64, (3, 2), elements=floats), arrays(np.float64, (2, 2), elements=floats))
def test_iou_of_any_spans_is_within_0_and_1(first: Floats, second: Floats) -> None:
    iou = span_iou(np.sort(first, axis=1), np.sort(second, axis=1))
    assert ((iou >= 0) & (iou <= 1)).all()


@given(spans(0, 6), spans(1, 4))
def test_average_precision_is_that_of_the_definition(predicted: Floats, annotated: Floats) -> None:
    found = span_average_precision(predicted, annotated)
    expected = [naive_average_precision(predicted, annotated, threshold) for threshold in AP_THRESHOLDS]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_thresholds_are_those_of_the_protocol() -> None:
    assert AP_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_a_case_by_hand() -> None:
    annotated = np.array([[10.0, 20.0], [40.0, 44.0]])
    predicted = np.array([[0.0, 5.0, 0.9], [10.0, 18.0, 0.8], [11.0, 20.0, 0.7], [40.0, 43.0, 0.6]])
    found = {name: values[0] for name, values in span_metrics([predicted], [annotated]).items()}
    # At 0.5: false, true (IoU .8), false (the window is taken), true (.75): precisions 1/2 and 2/4.
    # From 0.8 on the second prediction meets nothing beyond its IoU, from 0.85 on the third (.9) is the true one: 1/3.
    expected = [(1 / 2 + 2 / 4) / 2] * 6 + [1 / 2 / 2] + [1 / 3 / 2] * 2 + [0]
    assert found["span_AP@0.5"] == found["span_AP@0.75"] == pytest.approx(0.5)
    assert found["span_AP"] == pytest.approx(np.mean(expected))
    assert (found["span_R1@0.5"], found["span_R1@0.7"]) == (0, 0)
    first = span_metrics([predicted[3:]], [annotated])  # R1 may meet any window
    assert (first["span_R1@0.7"][0], first["span_AP@0.75"][0]) == (1, 0.5)


@given(spans(1, 6), spans(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_predictions_with_different_scores_does_not_count(
    predicted: Floats, annotated: Floats, random: object
) -> None:
    scored = np.column_stack([predicted, -np.arange(len(predicted), dtype=np.float64)])
    order = list(range(len(scored)))
    random.shuffle(order)  # type: ignore[attr-defined]
    ways = [span_metrics([rows], [annotated]) for rows in (scored, scored[order])]
    assert {name: values.tolist() for name, values in ways[0].items()} == {
        name: values.tolist() for name, values in ways[1].items()
    }


def test_ten_predictions_count_and_none_is_wrong() -> None:
    annotated = np.array([[0.0, 10.0]])
    wrong = np.array([[50.0 + i, 51.0 + i, 1.0] for i in range(10)])
    eleventh = np.vstack([wrong, [[0.0, 10.0, 0.5]]])
    found = span_metrics([eleventh, eleventh[1:], np.empty((0, 3))], [annotated] * 3)
    assert found["span_AP"].tolist() == [0, 0.1, 0]
    assert span_summary(found)["span_mAP"] == pytest.approx(0.1 / 3)
    assert span_summary(found)["span_R1@0.5"] == 0


WINDOW = np.array([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("predicted", "annotated", "message"),
    [
        ([], [], "predictions of 0 queries and windows of 0"),
        ([np.empty((0, 3))], [WINDOW, WINDOW], "predictions of 1 queries and windows of 2"),
        ([np.empty((0, 3))], [np.empty((0, 2))], "query 0 has no annotated window: leave it out"),
        ([np.array([[2.0, 1.0, 0.5]])], [WINDOW], r"query 0: prediction \[2.0, 1.0, 0.5\] is no span"),
        ([np.array([[0.0, 1.0, np.nan]])], [WINDOW], r"query 0: prediction \[0.0, 1.0, nan\] is no span"),
        ([np.empty((0, 2))], [WINDOW], r"a prediction array is of shape \(0, 2\): give \(count, 3\)"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(predicted: list[Floats], annotated: list[Floats], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        span_metrics(predicted, annotated)
