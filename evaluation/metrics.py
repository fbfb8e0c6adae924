"""Ranking metrics for binary relevance, at their expected value over a random order of tied items.

Everything is computed from two counts for each relevant item: how many items score higher and how many score the same
(`evaluation.ranks.count_ranks`). Ties get the mean over all orders of the tied items, in closed form (McSherry & Najork
2008, "Computing information retrieval performance measures efficiently in the presence of tied scores"); so a collapsed
model, which gives all items the same score, gets exactly the value of chance.

The relevant items of one query that tie make a group: `size` items share the places above+1 .. above+size, `relevant`
of them are relevant, and `found` relevant items stand before them. Without ties every group has size 1. A cut-off k
leaves a group wholly inside, wholly outside, or crosses it: at most one for each query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError
from evaluation.ties import Floats, Ints, TieGroups, chance_groups

Normaliser = Literal["retrieved", "all"]
KS = (1, 5, 10, 50)
"""Cut-offs of R@k and hit@k."""
GEOMETRIC = ("hit@1", "hit@5", "hit@10")


def average_precision(groups: TieGroups, k: int = 10, normaliser: Normaliser = "retrieved") -> Floats:
    """Expected average precision (Q,) at k: the mean of the precision at each relevant item of the first k.

    "retrieved" divides by the relevant items among the first k (Xie et al. 2024; torchmetrics); "all" by all relevant
    items of the query (trec_eval, ranx). A query with none among the first k has 0. Both agree where one item is
    relevant.

    Of the group that crosses the cut-off, a random number x of relevant items falls among the first k: hypergeometric,
    and given x their places are uniform. The mean is taken over x, since "retrieved" divides by it.

    >>> from evaluation.ties import tie_groups
    >>> groups = tie_groups(np.array([0, 0]), np.array([1, 20]), np.array([1, 1]))  # ranks 2 and 21
    >>> average_precision(groups), average_precision(groups, normaliser="all")
    (array([0.5]), array([0.25]))
    """
    if normaliser not in get_args(Normaliser):
        raise RelevanceError(f"normaliser is {normaliser!r}: give one of {', '.join(get_args(Normaliser))}")
    places = groups.within(k)
    inside, crossing = places == groups.size, (places > 0) & (places < groups.size)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, k + 1))])

    def precisions(where: npt.NDArray[np.bool_], relevant: Ints | int) -> Floats:
        """Expected sum of the precisions at `relevant` items whose order among the group's places is random.

        Place p holds one with probability relevant / n and then has (p-1) (relevant-1) / (n-1) of them before it; the
        sums over p of 1 / (above+p) and (p-1) / (above+p) are differences of harmonic numbers.
        """
        above, n = groups.above[where], places[where]
        first = np.where(n == 1, 1 / (above + 1), harmonic[above + n] - harmonic[above])  # 1 / rank without rounding
        earlier = n - (above + 1) * first
        mean = (groups.found[where] + 1) * first + (relevant - 1) / np.maximum(n - 1, 1) * earlier
        return np.asarray(relevant / n * mean, dtype=np.float64)

    def normalised(precision: Floats, hits: Floats, query: Ints | slice) -> Floats:
        divisor: Floats = groups.total[query].astype(np.float64) if normaliser == "all" else np.maximum(hits, 1)
        return precision / divisor

    hits = groups.sum(groups.relevant[inside], inside)
    sums = groups.sum(precisions(inside, groups.relevant[inside]), inside)
    result = normalised(sums, hits, slice(None))
    query, relevant = groups.query[crossing], groups.relevant[crossing]
    if len(query):
        result[query] = 0
        for x in range(min(k, relevant.max()) + 1):
            probability = _hypergeometric(x, groups.size[crossing], relevant, places[crossing])
            result[query] += probability * normalised(sums[query] + precisions(crossing, x), hits[query] + x, query)
    return result


def recall(groups: TieGroups, k: int) -> Floats:
    """Expected share (Q,) of a query's relevant items that are among the first k: hits / 5 for five captions."""
    return groups.sum(groups.relevant * groups.within(k) / groups.size) / groups.total


def hit_rate(groups: TieGroups, k: int) -> Floats:
    """Probability (Q,) that any relevant item is among the first k. Equals recall where one item is relevant."""
    first = groups.found == 0  # only a query's first group can decide: any later one stands behind a relevant item
    return 1 - _hypergeometric(0, groups.size[first], groups.relevant[first], groups.within(k)[first])


def first_rank(groups: TieGroups) -> Floats:
    """Expected rank (Q,), from 1, of the first relevant item: above + (size+1) / (relevant+1) of its group.

    With one relevant item among n tied ones this is the middle of their places, above + (n+1) / 2.
    """
    first = groups.found == 0
    rank: Floats = groups.above[first] + (groups.size[first] + 1) / (groups.relevant[first] + 1)
    return rank


def tied(groups: TieGroups) -> npt.NDArray[np.bool_]:
    """Whether any relevant item of the query (Q,) scores the same as another item, relevant or not."""
    return groups.sum((groups.size > 1).astype(np.float64)) > 0


def _hypergeometric(x: int, size: Ints, relevant: Ints, draws: Ints) -> Floats:
    """P(x of the relevant among `size` items are in `draws` of them): C(r, x) C(n-r, d-x) / C(n, d), as products."""
    probability = np.ones(len(size))
    for i in range(x):
        # Where size <= i an earlier factor was 0 already (draws, relevant <= size); the maximum only avoids 0 / 0.
        probability *= (draws - i) * (relevant - i) / ((i + 1) * np.maximum(size - i, 1))
    for j in range(int(draws.max(initial=0)) - x):
        probability *= np.where(j < draws - x, (size - relevant - j) / np.maximum(size - x - j, 1), 1)
    return probability


def per_query(groups: TieGroups, *, ks: Sequence[int] = KS, map_at: int = 10) -> dict[str, Floats]:
    """All metrics, (Q,) float64 each: first_rank, AP@10, AP@10_all, R@k, hit@k, and tied as 0 or 1."""
    return {
        f"AP@{map_at}": average_precision(groups, map_at),
        f"AP@{map_at}_all": average_precision(groups, map_at, "all"),
        **{f"R@{k}": recall(groups, k) for k in ks},
        **{f"hit@{k}": hit_rate(groups, k) for k in ks},
        "first_rank": first_rank(groups),
        "tied": tied(groups).astype(np.float64),
    }


def summary_name(column: str) -> str:
    """What the mean of a column of `per_query` is called: mAP@10 of AP@10, else the same."""
    return f"m{column}" if column.startswith("AP@") else column


def lower_is_better(name: str) -> bool:
    """Whether less is better of a logged value; tables show such metrics as they are, and all others in %."""
    return name.endswith(("loss", "rank"))


def mean_of_known(values: Floats) -> float:
    """The mean of those values (Q,) that are not NaN; NaN where all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def geometric_recall(means: Mapping[str, float]) -> float:
    """The geometric mean of hit@1, hit@5 and hit@10, which many papers call R@k (Oncescu et al. 2021).

    >>> round(geometric_recall({"hit@1": 0.1, "hit@5": 0.4, "hit@10": 0.7}), 4)
    0.3037
    """
    return float(np.prod([means[name] for name in GEOMETRIC]) ** (1 / len(GEOMETRIC)))


def summarise(columns: Mapping[str, Floats], items: int) -> dict[str, float]:
    """Means over queries of what `per_query` gave, as mAP@10, ...; median_rank, mean_rank, R_geo, tie_rate, sizes."""
    means = {summary_name(name): float(values.mean()) for name, values in columns.items()}
    mean_rank, tie_rate = means.pop("first_rank"), means.pop("tied")
    ranks = columns["first_rank"]
    return {
        **means,
        "median_rank": float(np.median(ranks)),
        "mean_rank": mean_rank,
        **({"R_geo": geometric_recall(means)} if means.keys() >= set(GEOMETRIC) else {}),
        "tie_rate": tie_rate,
        "queries": float(len(ranks)),
        "items": float(items),
    }


def chance(pool_size: int, relevant: int = 1, *, ks: Sequence[int] = KS, map_at: int = 10) -> dict[str, float]:
    """The metrics of a scorer that ranks at random: `relevant` of `pool_size` items are relevant, all items tie.

    >>> chance(1045)["R@10"] == 10 / 1045, chance(1045)["median_rank"]
    (True, 523.0)
    """
    groups = chance_groups(pool_size, np.array([relevant]))
    return summarise(per_query(groups, ks=ks, map_at=map_at), pool_size)
