"""Agreement of a model's scores with human judgements: with lists of all relevant items, or with ratings of some.

Annotated pairs call one item relevant to a query and miss the others that fit it too; listeners know those as well.
Lists are those of DCASE 2025 task 6 (all recordings of the pool that match a caption; scored with mAP@16, which divides
by all of them). Ratings are those of TAU Graded Relevances 2023 (Xie et al. 2023: 17 recordings for each query).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from common.errors import RelevanceError
from evaluation.metrics import average_precision, recall
from evaluation.ndcg import ndcg
from evaluation.ranks import Indices, checked_pairs, count_ranks, score_blocks
from evaluation.scores import Scores
from evaluation.ties import TieGroups, chance_groups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """How well a ranking agrees with human judgements, by metric and query.

    Attributes:
        per_query: (Q,) float64 by metric.
        per_query_chance: the same of a scorer that ranks at random.
    """

    per_query: dict[str, Floats]
    per_query_chance: dict[str, Floats]

    @cached_property
    def means(self) -> dict[str, float]:
        """Each metric's mean over queries; an average precision is then called mAP."""
        return _means(self.per_query)

    @cached_property
    def chance(self) -> dict[str, float]:
        """The means of a scorer that ranks at random."""
        return _means(self.per_query_chance)


def _means(columns: Mapping[str, Floats]) -> dict[str, float]:
    return {name.replace("AP@", "mAP@"): float(values.mean()) for name, values in columns.items()}


def agreement_with_lists(scores: Scores, query: Indices, item: Indices) -> Agreement:
    """AP@16_all, AP@10 and R@10 by lists of relevant items, several for a query.

    As everywhere in `evaluation.metrics`, AP@10 divides by the relevant items among the first ten; AP@16_all by all
    relevant items (DCASE 2025 task 6). Ties count at their expected rank; chance is a scorer that ties all.

    Args:
        scores: of Q queries and all N items of the pool.
        query: (P,) int64, each query at least once.
        item: (P,) int64, the relevant items.

    Raises:
        RelevanceError: as `evaluation.ranks.count_ranks`.

    >>> from evaluation.scores import MatrixScores
    >>> scores = MatrixScores(torch.tensor([[3.0, 2.0, 1.0]]))
    >>> agreement_with_lists(scores, *np.array([[0, 0], [0, 2]])).means["mAP@16_all"]  # (1 / 1 + 2 / 3) / 2
    0.8333333333333333
    """
    counts = count_ranks(scores, query, item, topk=1)
    return Agreement(_by_lists(counts.groups), _by_lists(chance_groups(counts.items, counts.groups.total)))


def _by_lists(groups: TieGroups) -> dict[str, Floats]:
    return {
        "AP@16_all": average_precision(groups, 16, "all"),
        "AP@10": average_precision(groups, 10),
        "R@10": recall(groups, 10),
    }


@torch.no_grad()
def agreement_with_ratings(scores: Scores, query: Indices, item: Indices, rating: Floats) -> Agreement:
    """nDCG@10, Spearman's rho and Kendall's tau-b of each query's scores and ratings, over its rated items alone.

    nDCG's gain is the rating. Chance is a scorer that ties all: the nDCG of a random order, and correlations of 0.

    Args:
        scores: of Q queries and N items.
        query: (P,) int64, each query at least twice.
        item: (P,) int64, the rated items.
        rating: (P,) float64, not negative; a query's are not all equal.

    Raises:
        RelevanceError: as `evaluation.ranks.count_ranks`; ratings of another shape, not finite or negative, or all
            equal for a query, which leaves nothing to order.

    >>> pairs = np.array([0, 0, 0]), np.array([0, 1, 2])
    >>> from evaluation.scores import MatrixScores
    >>> scores = MatrixScores(torch.tensor([[3.0, 2.0, 1.0]]))
    >>> means = agreement_with_ratings(scores, *pairs, np.array([0.9, 0.1, 0.2])).means
    >>> {name: round(value, 4) for name, value in means.items()}
    {'nDCG@10': 0.9878, 'spearman': 0.5, 'kendall_tau_b': 0.3333}
    """
    query, item = checked_pairs(query, item, scores.queries, scores.items, scores.device)
    if rating.shape != query.shape or not np.isfinite(rating).all() or (rating < 0).any():
        raise RelevanceError(f"ratings {rating.shape} for {len(query)} pairs: give one for each, finite and >= 0")
    of_pairs = torch.empty(len(query), device=scores.device)  # (P,)
    for rows, block in score_blocks(scores):
        pairs = ((query >= rows.start) & (query < rows.stop)).nonzero()[:, 0]
        of_pairs[pairs] = block[query[pairs] - rows.start, item[pairs]]

    columns: dict[str, list[float]] = {"nDCG@10": [], "spearman": [], "kendall_tau_b": []}
    chance: list[float] = []
    order = query.argsort(stable=True).cpu().numpy()
    for number, pairs in enumerate(np.split(order, np.cumsum(np.bincount(query.cpu().numpy()))[:-1])):
        given, gains = of_pairs[torch.from_numpy(pairs)].double().cpu()[None], torch.from_numpy(rating[pairs])[None]
        if len(gains.unique()) < 2:
            raise RelevanceError(f"query {number}: its ratings are all equal: leave it out, there is nothing to order")
        columns["nDCG@10"].append(float(ndcg(given, gains)))
        chance.append(float(ndcg(torch.zeros_like(given), gains)))
        rho, tau = rank_correlations(given[0].numpy(), rating[pairs])
        columns["spearman"].append(rho)
        columns["kendall_tau_b"].append(tau)
    zeros = np.zeros(scores.queries)
    return Agreement(
        {name: np.array(values) for name, values in columns.items()},
        {"nDCG@10": np.array(chance), "spearman": zeros, "kendall_tau_b": zeros},
    )


def rank_correlations(x: Floats, y: Floats) -> tuple[float, float]:
    """Spearman's rho (tied values share their mean rank) and Kendall's tau-b of x (n,) and y (n,).

    Both come from the signs of all differences (Daniels 1944): tau-b correlates the signs, and rho their sums, which
    are twice the ranks less their mean. Where x or y is constant, both are 0: no order was given.

    >>> rank_correlations(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))
    (0.5, 0.3333333333333333)
    """
    signs = [np.sign(values[:, None] - values[None, :]) for values in (x, y)]  # (n, n) each
    sums = [sign.sum(1) for sign in signs]  # (n,)
    return _cosine(sums[0], sums[1]), _cosine(signs[0].ravel(), signs[1].ravel())


def _cosine(a: Floats, b: Floats) -> float:
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size else 0.0


@dataclass(frozen=True)
class Matched:
    """Judgements as rows of a pool.

    Attributes:
        caption: (Q,) int64, the row among the captions of each query with judgements.
        query: (P,) int64 from 0 to Q-1.
        item: (P,) int64, the row among the pool's items.
        grade: (P,) float64.
        counts: of what was listed, and of what of it is not in the pool.
    """

    caption: Ints
    query: Ints
    item: Ints
    grade: Floats
    counts: dict[str, int]


def match(
    grades: Mapping[str, Mapping[str, float]], captions: Sequence[str], names: Sequence[str], *, ordered: bool = False
) -> Matched:
    """Human judgements as rows of a pool: their queries found among its captions, their items among its names.

    Captions must be the same but for blanks around them, names exactly. Of captions that are the same the first is
    taken. Judgements of items outside the pool are dropped; a query that is left without any is left out.

    Args:
        grades: by query text and item name.
        captions: (C,) texts of the pool.
        names: (N,) names of the pool.
        ordered: also leave out queries whose remaining grades are all equal.

    >>> found = match({"rain": {"a.wav": 1.0, "gone.wav": 1.0}, "a dog": {"a.wav": 1.0}}, ["rain "], ["b.wav", "a.wav"])
    >>> found.caption, found.query, found.item
    (array([0]), array([0]), array([1]))
    >>> found.counts["queries_not_in_split"], found.counts["items_not_in_split"]
    (1, 1)
    """
    row_of_caption = {text.strip(): row for row, text in reversed(list(enumerate(captions)))}
    row_of_name = {name: row for row, name in reversed(list(enumerate(names)))}
    rows: list[int] = []
    pairs: list[tuple[int, int, float]] = []
    absent = 0
    for text, graded in grades.items():
        row = row_of_caption.get(text.strip())
        absent += row is None
        here = {row_of_name[name]: grade for name, grade in graded.items() if name in row_of_name}
        if row is None or len(set(here.values())) < (2 if ordered else 1):
            continue
        pairs += [(len(rows), item, grade) for item, grade in here.items()]
        rows.append(row)
    listed = {name for graded in grades.values() for name in graded}
    counts = {
        "queries_listed": len(grades),
        "queries_not_in_split": absent,
        "queries_left_out": len(grades) - absent - len(rows),
        "queries": len(rows),
        "items_listed": len(listed),
        "items_not_in_split": len(listed - row_of_name.keys()),
        "items": len(names),
        "pairs_listed": sum(len(graded) for graded in grades.values()),
        "pairs": len(pairs),
    }
    query, item, grade = zip(*pairs, strict=True) if pairs else ((), (), ())
    return Matched(
        np.array(rows, dtype=np.int64),
        np.array(query, dtype=np.int64),
        np.array(item, dtype=np.int64),
        np.array(grade, dtype=np.float64),
        counts,
    )
