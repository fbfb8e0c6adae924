"""All objectives: how each is built, its definition in NumPy, and what relevance it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from relevance import objectives as ours
from relevance.objectives import Objective
from tests.support import naive_objectives as naive

Kind = Literal["binary", "graded", "distinct"]


@dataclass(frozen=True)
class Case:
    """An objective with settings.

    Attributes:
        make: builds it; takes more settings.
        naive: the same by definition.
        kinds: of relevance that it takes; "distinct" is graded without equal values.
        ignores: whether pairs may be left out.
    """

    make: Callable[..., Objective]
    naive: naive.Naive
    kinds: tuple[Kind, ...] = ("binary", "graded")
    ignores: bool = True


def case(kind: type[Objective], definition: naive.Naive, *kinds: Kind, ignores: bool = True, **settings: Any) -> Case:
    def make(**more: Any) -> Objective:
        return kind(**{**settings, **more})

    return Case(make, definition, kinds or ("binary", "graded"), ignores)


LEVELS = (0.9, 0.6, 0.3)
CASES: dict[str, Case] = {
    "infonce": case(ours.InfoNCE, naive.listnet(0.1, None), tau=0.1),
    "listnet": case(ours.ListNet, naive.listnet(0.1, 0.2), ignores=False, tau=0.1, omega=0.2),
    "siglip": case(ours.SigLIP, naive.sigmoid(8.0, -3.0), "binary", scale=8.0, bias=-3.0),
    "soft_siglip": case(ours.SoftSigLIP, naive.sigmoid(8.0, 0.5), scale=8.0, bias=0.5),
    "hybrid_nce": case(
        ours.HybridNCE, naive.hybrid(0.1, 0.8, 0.3, 0.5), tau=0.1, alpha=0.8, beta=0.3, relevant_from=0.5
    ),
    "hn_nce": case(ours.HNNCE, naive.hybrid(0.1, 0.999, 0.25, None), tau=0.1),
    "decoupled": case(ours.Decoupled, naive.hybrid(0.1, 0.0, 0.0, None), tau=0.1),
    **{
        f"ranked_rince_{variant}": case(
            ours.RankedRINCE, naive.ranked_rince(LEVELS, 0.1, 0.2, variant), thresholds=LEVELS, variant=variant
        )
        for variant in ("in", "out", "out_in")
    },
    "robust_rince": case(ours.RobustRINCE, naive.robust_rince(0.2, 0.5, 0.1), tau=0.2, q=0.5, weight=0.1),
    "listmle": case(ours.ListMLE, naive.listmle(0.2), "distinct", tau=0.2),
    "listmle_top": case(ours.ListMLE, naive.listmle(0.2, 3), "distinct", tau=0.2, top=3),
    **{
        f"ranknet_{weighting}": case(ours.RankNet, naive.ranknet(0.2, weighting), tau=0.2, weighting=weighting)
        for weighting in ("equal", "difference", "squares")
    },
    "lambda_loss": case(ours.LambdaLoss, naive.lambda_loss(0.2, 10.0, None, 1.0), tau=0.2),
    "lambda_loss_2": case(ours.LambdaLoss, naive.lambda_loss(0.2, None, None, 3.0), tau=0.2, mu=None, sharpness=3.0),
    "lambda_loss_top": case(ours.LambdaLoss, naive.lambda_loss(0.2, 10.0, 3, None), tau=0.2, top=3, sharpness=None),
    "approx_ndcg": case(ours.ApproxNDCG, naive.approx_ndcg(0.1, 2.0), tau=0.1, sharpness=2.0),
    "neural_ndcg": case(
        ours.NeuralNDCG, naive.neural_ndcg(0.5, 4, None), tau=0.5, iterations=4, sharpness=None, ignores=False
    ),
    "smooth_ap": case(ours.SmoothAP, naive.smooth_ap(0.1, None), tau=0.1),
    "smooth_ap_from": case(ours.SmoothAP, naive.smooth_ap(0.1, 0.5), tau=0.1, relevant_from=0.5),
    **{
        f"triplet_{chosen}": case(ours.Triplet, naive.triplet(0.5, chosen, False), margin=0.5, negatives=chosen)
        for chosen in ("all", "semi_hard", "hard")
    },
    **{
        f"triplet_{chosen}": case(
            ours.Triplet, naive.triplet(0.5, chosen, False), "graded", margin=0.5, negatives=chosen, ignores=False
        )
        for chosen in ("text_easy", "text_hard")
    },
    "triplet_graded": case(ours.Triplet, naive.triplet(0.5, "all", True), margin=0.5, graded=True),
    "max_margin": case(ours.MaxMargin, naive.max_margin(0.3, False), margin=0.3),
    "graded_margin": case(ours.MaxMargin, naive.max_margin(0.5, True), margin=0.5, graded=True),
    "weighted_triplet": case(ours.WeightedTriplet, naive.weighted_triplet(0.4), margin=0.4),
    "optimal_transport": case(
        ours.OptimalTransport, naive.transport(0.1, 5, None), epsilon=0.1, iterations=5, ignores=False
    ),
    "optimal_transport_graded": case(
        ours.OptimalTransport, naive.transport(0.1, 5, 0.2), epsilon=0.1, iterations=5, omega=0.2, ignores=False
    ),
    "prior_revised": case(
        ours.PriorRevised, naive.prior_revised(0.2, 5.0, None), tau=0.2, prior_scale=5.0, ignores=False
    ),
    "soft_clip": case(
        ours.SoftCLIP,
        naive.soft_clip(0.2, 0.3, 0.1, 0.6, 0.7),
        tau=0.2,
        omega=0.3,
        softness=0.6,
        negatives=0.7,
        ignores=False,
    ),
    "cusa": case(ours.CUSA, naive.cusa(0.1, 0.5, 0.3, 0.45), tau=0.1, omega=0.5, soft=0.3, ignores=False),
}
"""By name; settings are such that all terms count. Random negatives are tested apart."""


def pairs_of_kind() -> list[tuple[str, Kind]]:
    """Each objective with each kind of relevance that it takes."""
    return [(name, kind) for name, entry in CASES.items() for kind in entry.kinds]


def draw(kind: Kind, seed: int = 0, size: int = 6) -> tuple[Tensor, Tensor]:
    """Scores and relevance of a batch of pairs, both (size, size) float64.

    Recordings 1 and 4 are one and the same, so they are two positives of each other's queries. No two graded values of
    a query are equal but these; of "distinct" relevance not even these.
    """
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-0.9, 0.9, (size, size))
    relevance = np.eye(size)
    if kind != "binary":
        relevance = np.where(
            relevance == 1, 0.95, rng.permuted(np.linspace(0.05, 0.85, size * size)).reshape(size, size)
        )
    if kind != "distinct":
        relevance[1, 4] = relevance[4, 1] = relevance[0, 0]
    return torch.tensor(scores), torch.tensor(relevance)
