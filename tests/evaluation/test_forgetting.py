"""Transfer and forgetting against the papers' sums, as loops."""

import numpy as np
import pytest

from common.errors import RelevanceError
from evaluation.analyses.forgetting import transfer


def test_the_sums_of_the_papers() -> None:
    rng = np.random.default_rng(0)
    scores, start = rng.random((5, 5)), rng.random(5)
    last, found = 4, transfer(scores, start)
    assert found.average == pytest.approx(sum(scores[last, j] for j in range(5)) / 5)
    assert found.backward == pytest.approx(sum(scores[last, j] - scores[j, j] for j in range(4)) / 4)
    lost = [max(scores[fit, j] for fit in range(4)) - scores[last, j] for j in range(4)]
    assert found.forgotten.tolist() == pytest.approx(lost)
    assert found.forgetting == pytest.approx(sum(lost) / 4)
    assert found.forward == pytest.approx(sum(scores[j - 1, j] - start[j] for j in range(1, 5)) / 4)
    assert np.isnan(transfer(scores).forward)


def test_one_fit_has_nothing_to_forget() -> None:
    found = transfer(np.array([[0.4]]))
    assert found.average == 0.4
    assert np.isnan([found.backward, found.forgetting, found.forward]).all()


@pytest.mark.parametrize(
    ("scores", "start"),
    [(np.zeros((2, 3)), None), (np.zeros((0, 0)), None), (np.eye(2), np.zeros(3)), (np.array([[np.nan]]), None)],
)
def test_what_is_no_matrix_of_scores_is_refused(scores: np.ndarray, start: np.ndarray | None) -> None:
    with pytest.raises(RelevanceError, match="give"):
        transfer(scores, start)
