"""Metrics as a user writes them."""

import numpy as np
import numpy.typing as npt

from evaluation.query_metric import QueryMetric, Ranked


class ReciprocalRank(QueryMetric):
    """From places."""

    def __call__(self, ranked: Ranked) -> npt.NDArray[np.float64]:
        return 1 / ranked.result.per_query["first_rank"]


class BestScore(QueryMetric):
    """From scores; the first query has no value."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    @property
    def name(self) -> str:
        return f"best*{self.scale:g}"

    def __call__(self, ranked: Ranked) -> npt.NDArray[np.float64]:
        scores = ranked.scores.block(slice(0, ranked.scores.queries), slice(0, ranked.scores.items))
        best: npt.NDArray[np.float64] = self.scale * scores.max(1).values.double().cpu().numpy()
        best[0] = np.nan
        return best


class Constant(QueryMetric):
    """Whatever it is given."""

    def __init__(self, values: npt.ArrayLike, name: str = "constant") -> None:
        self.values, self._name = values, name

    @property
    def name(self) -> str:
        return self._name

    def __call__(self, ranked: Ranked) -> npt.NDArray[np.float64]:
        return np.asarray(self.values, dtype=np.float64)
