"""Settings and relevance that an objective refuses, each in one line."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from common.errors import RelevanceError
from relevance.base import IGNORED
from relevance.objectives import (
    CUSA,
    HNNCE,
    ApproxNDCG,
    HybridNCE,
    InfoNCE,
    LambdaLoss,
    ListMLE,
    ListNet,
    NeuralNDCG,
    Objective,
    OptimalTransport,
    PriorRevised,
    RankedRINCE,
    RankNet,
    RobustRINCE,
    SigLIP,
    SmoothAP,
    SoftCLIP,
    SoftSigLIP,
    Triplet,
    WeightedTriplet,
)

BINARY = torch.eye(3)
GRADED = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.9, 0.3], [0.1, 0.6, 0.9]])
HOLES = torch.tensor([[1.0, IGNORED, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
FLAT = torch.full((3, 3), 0.4)


@pytest.mark.parametrize(
    ("objective", "relevance", "message"),
    [
        (SigLIP(), GRADED, r"SigLIP needs binary relevance, but there is 0\.9: .* SoftSigLIP"),
        (Triplet(negatives="text_hard"), BINARY, "negatives: text_hard needs graded relevance"),
        (ListMLE(), FLAT, "ListMLE has nothing to rank"),
        (RankNet(), FLAT, "RankNet has nothing to rank"),
        (LambdaLoss(), FLAT, "LambdaLoss has nothing to rank"),
        (ApproxNDCG(), FLAT, "ApproxNDCG has nothing to rank"),
        (NeuralNDCG(), FLAT, "NeuralNDCG has nothing to rank"),
        (RankedRINCE(thresholds=[0.97]), GRADED, r"RankedRINCE: no item is as relevant .* \(0\.97\); lower"),
        (SmoothAP(relevant_from=0.95), GRADED, "SmoothAP: no item has a relevance from relevant_from = 0.95 on"),
        (OptimalTransport(), HOLES, "OptimalTransport assigns all items"),
        (PriorRevised(), HOLES, "no pair can be ignored"),
        (OptimalTransport(), torch.zeros(3, 3), "a query has no relevant item"),
        (ListNet(), HOLES, r"objective\.omega is 0\.05: softmax gives pairs that are to be ignored"),
        (SoftCLIP(), HOLES, r"objective\.omega is 0\.1"),
        (CUSA(), HOLES, r"objective\.omega is 1"),
        (InfoNCE(), GRADED * 3, r"must be in \[0, 1\]"),
    ],
)
def test_relevance_that_cannot_be_used(objective: Objective, relevance: Tensor, message: str) -> None:
    with pytest.raises(RelevanceError, match=message) as info:
        objective.check(relevance)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    "objective", [InfoNCE(), SoftSigLIP(), HybridNCE(), RankedRINCE(thresholds=[0.5]), SmoothAP(), Triplet(), RankNet()]
)
def test_relevance_with_pairs_left_out_is_no_mistake(objective: Objective) -> None:
    objective.check(HOLES)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SigLIP(scale=0), "SigLIP: scale is 0"),
        (lambda: SoftSigLIP(bias=float("nan")), "SoftSigLIP: bias is nan"),
        (lambda: HybridNCE(relevant_from=2), "HybridNCE: relevant_from is 2"),
        (lambda: HNNCE(beta=-1), "HNNCE: beta is -1"),
        (lambda: RankedRINCE(thresholds=[0.4, 0.7]), r"thresholds are \[0.4, 0.7\]; give falling numbers"),
        (lambda: RankedRINCE(thresholds=[]), r"thresholds are \[\]"),
        (lambda: RobustRINCE(q=0), "RobustRINCE: q is 0"),
        (lambda: RobustRINCE(tau=0.01, q=1), r"q / tau is 100, and e\^100 is no float32"),
        (lambda: ListMLE(top=0), "ListMLE: top is 0"),
        (lambda: LambdaLoss(mu=-1), "LambdaLoss: mu is -1"),
        (lambda: ApproxNDCG(sharpness=0), "ApproxNDCG: sharpness is 0"),
        (lambda: NeuralNDCG(iterations=-1), "NeuralNDCG: iterations is -1"),
        (lambda: SmoothAP(relevant_from=0), "SmoothAP: relevant_from is 0"),
        (lambda: Triplet(margin=0), "Triplet: margin is 0"),
        (lambda: WeightedTriplet(margin=-0.1), "WeightedTriplet: margin is -0.1"),
        (lambda: OptimalTransport(epsilon=0), "OptimalTransport: epsilon is 0"),
        (lambda: PriorRevised(prior_scale=-1), "PriorRevised: prior_scale is -1"),
        (lambda: SoftCLIP(softness=1.5), "SoftCLIP: softness is 1.5"),
        (lambda: CUSA(soft=-1), "CUSA: soft is -1"),
    ],
)
def test_settings_out_of_range(build: Callable[[], Objective], message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        build()
