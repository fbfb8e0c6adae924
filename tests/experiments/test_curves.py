"""Curves of experiments against plain counts, and what of them is drawn."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RunError
from experiments.figures.curves import (
    draw_first_ranks,
    draw_learning_curves,
    found_by_chance,
    found_within,
    learning_curve,
    mean_curve,
)
from experiments.loggers.csv_logger import MetricsLogger
from experiments.results.experiment import QueryScores, read_experiments
from tests.support.compared import write_run

NAMES = [f"{i}.wav" for i in range(8)]


def write_metrics(run: Path, losses: dict[int, float], precisions: dict[int, float], entropy: float = 0.0) -> None:
    logger = MetricsLogger(run, "metrics.csv")
    for step, loss in losses.items():
        logger.log_metrics({"train/loss": loss, "train/target_entropy": entropy}, step)
    for step, precision in precisions.items():
        logger.log_metrics({"val/loss": 1.5, "val/text_to_audio/mAP@10": precision}, step)
    logger.save()


def test_a_learning_curve_has_the_steps_that_were_logged(tmp_path: Path) -> None:
    assert learning_curve(tmp_path, "train/loss") == {}
    write_metrics(tmp_path, {9: 3.0, 19: 2.0}, {20: 0.25})
    assert learning_curve(tmp_path, "train/loss") == {9: 3.0, 19: 2.0}
    assert learning_curve(tmp_path, "val/text_to_audio/mAP@10") == {20: 0.25}
    (tmp_path / "metrics.csv").write_text("step,train/loss\n9,much\n")
    with pytest.raises(RunError, match=r"metrics.csv: not a table of numbers"):
        learning_curve(tmp_path, "train/loss")


def test_runs_without_a_common_step_have_no_mean() -> None:
    assert mean_curve([{1: 0.5}, {2: 0.5}]) == {}
    assert mean_curve([{2: 0.5, 1: 1.0}]) == {1: 1.0, 2: 0.5}


@given(st.lists(st.integers(2, 20).map(lambda twice: twice / 2), min_size=1), st.integers(1, 12))
def test_share_found_is_a_count(ranks: list[float], depth: int) -> None:
    expected = sum(rank <= depth for rank in ranks) / len(ranks)
    assert found_within(np.array(ranks), np.array([depth])).tolist() == [pytest.approx(expected)]


def test_chance_is_the_mean_over_all_orders() -> None:
    relevant = [(3,), (1, 4), (0, 2, 5), (2,)]
    pool, none = 6, np.empty((1, 0))
    ids = np.arange(len(relevant))
    side = QueryScores(ids, ("",) * len(relevant), ids, tuple(relevant), pool, none, {})
    expected = np.zeros(pool)
    for items in relevant:
        places = list(combinations(range(pool), len(items)))  # of the relevant items, each as probable as the other
        expected += [sum(min(place) < k for place in places) / len(places) / len(relevant) for k in range(1, pool + 1)]
    assert found_by_chance(side, np.arange(1, pool + 1)) == pytest.approx(expected)


def test_each_run_and_the_mean_are_drawn(tmp_path: Path) -> None:
    for name, seed, signal in [("binary", 0, 0.5), ("binary", 1, 0.5), ("$learned$", 0, 2.0)]:
        run = tmp_path / name / str(seed)
        write_run(run, NAMES, seed, signal)
        write_metrics(run, {9: 3.0, 19: 2.0 + seed}, {20: 0.25 + seed / 4}, entropy=0.5 if name == "$learned$" else 0)
    experiments = read_experiments([tmp_path / "binary", tmp_path / "$learned$"])

    figure = draw_learning_curves(experiments)
    figure.canvas.draw()
    train, loss, precision = figure.axes
    assert [np.asarray(line.get_ydata()).tolist() for line in train.get_lines()] == [
        *([3.0, 2.0], [3.0, 3.0], [3.0, 2.5]),  # two runs of the first experiment and their mean
        *([3.0, 2.0], [3.0, 2.0]),
        [0.5, 0.5],  # only learned targets have entropy
    ]
    assert [np.asarray(line.get_ydata()).tolist() for line in precision.get_lines()] == [
        [25.0],
        [50.0],
        [37.5],
        [25.0],
        [25.0],
    ]
    assert len(loss.get_lines()) == 5
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["binary (2 runs)", "$learned$ (1 run)"]

    figure = draw_first_ranks(experiments)
    figure.canvas.draw()
    for axes, direction, pool in zip(figure.axes, ("text_to_audio", "audio_to_text"), (8, 24), strict=True):
        curves = [np.asarray(line.get_ydata()) for line in axes.get_lines()]
        assert [len(curve) for curve in curves] == [pool] * 6  # three and two as above, and chance
        binary, learned = (experiment.directions[direction] for experiment in experiments)
        for depth in (1, 5):
            hits = 100 * binary.scores[f"hit@{depth}"].mean(axis=1)
            assert [curve[depth - 1] for curve in curves[:3]] == pytest.approx([*hits, hits.mean()])
            assert curves[4][depth - 1] == pytest.approx(100 * learned.scores[f"hit@{depth}"].mean())
        assert all(curve[-1] == pytest.approx(100) for curve in curves)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "chance"
