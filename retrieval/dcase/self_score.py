"""The score of a submission where the right recordings are known."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics import average_precision, recall
from evaluation.ranks import count_ranks
from evaluation.scores import MatrixScores, Scores
from evaluation.ties import TieGroups, chance_groups
from retrieval.dcase.forms import Form


def self_score(
    form: Form, matrix: Tensor, names: Sequence[str], relevant: Sequence[Sequence[str]]
) -> tuple[dict[str, tuple[float, float]], int]:
    """Metrics of scores (Q, N) beside chance, the year's own first, and how many queries have a right recording.

    mAP@10 divides by the right recordings among the first ten, as everywhere here; mAP@16 by all of them.

    Args:
        form: of the year.
        matrix: (Q, N).
        names: of the N recordings.
        relevant: names of each query's right recordings; queries without one among `names` are left out.
    """
    row_of = {name: row for row, name in enumerate(names)}
    found = [[row_of[name] for name in right if name in row_of] for right in relevant]
    rows = [query for query, items in enumerate(found) if items]
    if not rows:
        return {}, 0
    query = np.repeat(np.arange(len(rows)), [len(found[row]) for row in rows])
    item = np.array([number for row in rows for number in found[row]], dtype=np.int64)
    return metrics_of(form, MatrixScores(matrix[torch.tensor(rows)]), query, item), len(rows)


def metrics_of(
    form: Form, scores: Scores, query: np.ndarray | Tensor, item: np.ndarray | Tensor
) -> dict[str, tuple[float, float]]:
    """The same from scores and relevant pairs (P,)."""
    counts = count_ranks(scores, query, item, topk=1)
    chance_of_all = chance_groups(counts.items, counts.groups.total)
    values, chance = (_means(form, each) for each in (counts.groups, chance_of_all))
    return {name: (value, chance[name]) for name, value in values.items()}


def _means(form: Form, groups: TieGroups) -> dict[str, float]:
    own = {form.metric: average_precision(groups, form.at, "all" if form.at != 10 else "retrieved")}
    columns = {**own, "mAP@10": average_precision(groups), **{f"R@{k}": recall(groups, k) for k in (1, 5, 10)}}
    return {name: float(values.mean()) for name, values in columns.items()}
