"""What a sequence of fits keeps and forgets, from the scores on all data sets after each of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transfer:
    """What T fits, the j-th of them on data set j, leave; larger scores are better.

    Attributes:
        average: mean score over all data sets after the last fit (Lopez-Paz & Ranzato 2017, ACC).
        backward: mean change on the earlier data sets from the fit on each to the last fit (BWT); below 0 where the
            later fits spoil what was learned. NaN for one fit.
        forgetting: mean loss on the earlier data sets from the best score before the last fit to the one after it
            (Chaudhry et al. 2018, F). NaN for one fit.
        forward: mean change on the later data sets from the start to the fit before their own (FWT); NaN where the
            start is not known, or for one fit.
        forgotten: (T-1,) the loss on each data set but the last.
    """

    average: float
    backward: float
    forgetting: float
    forward: float
    forgotten: Floats


def transfer(scores: Floats, start: Floats | None = None) -> Transfer:
    """What a matrix of scores says of forgetting and transfer.

    Args:
        scores: (T, T), R[i, j] on data set j after fit i, which was on data set i.
        start: (T,) the scores before the first fit.

    Raises:
        RelevanceError: other shapes, or scores that are NaN or infinite.

    Sources: Lopez-Paz & Ranzato 2017, "Gradient episodic memory for continual learning", eq. 2 to 4; Chaudhry et al.
    2018, "Riemannian walk for incremental learning: understanding forgetting and intransigence", section 4.

    >>> found = transfer(np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.2], [0.6, 0.7, 0.9]]), np.zeros(3))
    >>> [round(value, 3) for value in (found.average, found.backward, found.forgetting, found.forward)]
    [0.733, -0.2, 0.2, 0.2]
    """
    fits = len(scores)
    if scores.shape != (fits, fits) or not fits or (start is not None and start.shape != (fits,)):
        raise RelevanceError(
            f"scores {scores.shape}: give one row for each fit and one column for each of as many data"
        )
    if not np.isfinite(scores).all() or (start is not None and not np.isfinite(start).all()):
        raise RelevanceError("scores hold NaN or infinity: give a score for each fit and data set")
    last, nan = scores[-1], float("nan")
    if fits == 1:
        return Transfer(float(last.mean()), nan, nan, nan, np.empty(0))
    forgotten = scores[:-1, :-1].max(0) - last[:-1]
    forward = nan if start is None else float((np.diag(scores, 1) - start[1:]).mean())
    return Transfer(
        float(last.mean()), float((last - np.diag(scores))[:-1].mean()), float(forgotten.mean()), forward, forgotten
    )
