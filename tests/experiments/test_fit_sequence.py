"""A sequence of fits: from cells to the printed matrix, and from runs to scores."""

from pathlib import Path

import numpy as np
import pytest

from common.errors import RunError
from experiments.analyses.fit_sequence import fit_sequence, print_sequence, score_of_run
from experiments.results.experiment import read_experiment
from tests.support.compared import NAMES, write_run

CELLS = {("a", "x"): 0.5, ("a", "y"): 0.1, ("b", "x"): 0.4, ("b", "y"): 0.6}


def test_the_matrix_is_in_the_order_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = fit_sequence(CELLS, "cells")
    assert (found.fits, found.data, found.start) == (["a", "b"], ["x", "y"], None)
    assert found.scores.tolist() == [[0.5, 0.1], [0.4, 0.6]]
    print_sequence(found)
    out = capsys.readouterr().out
    assert "average after the last fit: 50.0 %" in out
    assert "backward transfer: -10.00 points" in out
    assert "forgetting: +10.00 points" in out
    assert "forward transfer: not known" in out


def test_a_fit_more_than_data_sets_is_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    found = fit_sequence({("before", "x"): 0.2, ("before", "y"): 0.05, **CELLS}, "cells")
    assert found.start is not None
    assert (found.start[0], found.start[1].tolist()) == ("before", [0.2, 0.05])
    assert found.scores.tolist() == [[0.5, 0.1], [0.4, 0.6]]
    print_sequence(found)
    assert "forward transfer: +5.00 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({("a", "x"): 0.1, ("b", "y"): 0.1}, "f.csv: no score of fit 'a' on data 'y'; give one for each pair"),
        ({("a", "x"): 0.1, ("a", "y"): 0.1}, "f.csv: 1 fits and 2 data sets; give a fit for each data set"),
        ({}, "f.csv: 0 fits and 0 data sets; give a fit for each data set"),
    ],
)
def test_what_is_no_sequence_is_refused(cells: dict[tuple[str, str], float], message: str) -> None:
    with pytest.raises(RunError) as caught:
        fit_sequence(cells, "f.csv")
    assert str(caught.value).startswith(message)


def test_the_score_of_a_run_and_of_an_experiment(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "a" / str(seed), NAMES, seed, 1.0)
    scores = read_experiment(tmp_path / "a").directions["text_to_audio"].scores["R@1"]
    assert score_of_run(tmp_path / "a", "text_to_audio/R@1", "test") == pytest.approx(float(np.mean(scores)))
    assert score_of_run(tmp_path / "a" / "1", "text_to_audio/R@1", "test") == pytest.approx(float(scores[1].mean()))
    with pytest.raises(RunError, match="has no metric 'text_to_audio/nothing'"):
        score_of_run(tmp_path / "a", "text_to_audio/nothing", "test")
