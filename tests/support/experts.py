"""Tiny models of experts, and recordings with synthetic features of two experts, some of which are missing."""

from typing import Any

import numpy as np
import torch

from datamodules.batch import Example
from lightning_modules.audio_encoders import ExpertFeatures
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import CollaborativeExperts, Matcher, MixtureOfExperts
from lightning_modules.pooling import NetVLAD
from lightning_modules.pooling.base import Pooling
from lightning_modules.training.ranger import Ranger
from lightning_modules.training.schedules import StepDecay
from relevance.objectives import MaxMargin
from relevance.objectives.base import Objective
from relevance.targets.binary import SameAudio
from tests.support.seams import TokenText
from tests.support.tiny import KINDS, TinyData

DIMS = {"high": 5, "low": 3}


class ExpertData(TinyData):
    """TinyData whose recordings have frames of two experts; every fifth has only one of them."""

    def example(self, audio: int, caption_ids: list[int]) -> Example:
        example = super().example(audio, caption_ids)
        rng = np.random.default_rng(audio)
        for number, (name, dim) in enumerate(DIMS.items()):
            frames = 0 if audio % 5 == 4 and audio % 2 == number else 2 + audio % 3
            kind = np.eye(len(KINDS), dim, dtype=np.float32)[audio % len(KINDS)]
            example.experts[name] = (kind + 0.1 * rng.standard_normal((frames, dim))).astype(np.float32)
        return example


def features(pooling: type[Pooling] | None = NetVLAD, dims: dict[str, int] | None = None) -> ExpertFeatures:
    """The encoder of these features: at most four frames, two clusters."""
    dims = DIMS if dims is None else dims
    parts: dict[str, Pooling] | None = None
    if pooling is NetVLAD:
        parts = {name: NetVLAD(2) for name in dims}
    elif pooling is not None:
        parts = {name: pooling() for name in dims}
    return ExpertFeatures(dims, parts, dict.fromkeys(dims, 4))


def matchers() -> dict[str, Matcher]:
    return {"moee": MixtureOfExperts(), "ce": CollaborativeExperts(dim=6)}


def expert_model(
    matcher: Matcher, objective: Objective | None = None, pooling: type[Pooling] | None = NetVLAD, **options: Any
) -> DualEncoder:
    """A model of experts with the published recipe, ready to look up its relevance."""
    torch.manual_seed(0)
    relevance = SameAudio()
    relevance.prepare(*TinyData().read_captions())
    return DualEncoder(
        features(pooling),
        TokenText(),
        relevance,
        objective or MaxMargin(),
        matcher,
        text_pooling=NetVLAD(3, 1, padding="masked"),
        optimizer=lambda parameters: Ranger(parameters, lr=0.02),
        schedule=StepDecay(),
        **options,
    )
