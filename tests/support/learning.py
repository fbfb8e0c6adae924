"""A small model of frames and words, and whether it learns to rank."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.dual_encoder import DualEncoder
from relevance.objectives import InfoNCE
from relevance.targets import SameAudio
from tests.support.seams import FramesAudio, TokenText
from tests.support.tiny import TinyData, tiny_trainer


def frames_and_words(**makers: Callable[[], Any]) -> DualEncoder:
    """A model with parts that these make, always with the same first weights."""
    torch.manual_seed(0)
    encoders = FramesAudio(), TokenText(dim=8)
    parts = {name: make() for name, make in makers.items()}
    parts["optimizer"] = lambda parameters: torch.optim.Adam(parameters, lr=0.02)
    return DualEncoder(*encoders, SameAudio(), InfoNCE(tau=0.2), **parts)


def assert_learns(model: DualEncoder, folder: Path, epochs: int) -> dict[str, Tensor]:
    """Train a model, and see that it ranks better than by chance; what its test logged."""
    trainer, data = tiny_trainer(folder, max_epochs=epochs), TinyData()
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    assert model.evaluation is not None
    ranking = model.evaluation.rankings["text_to_audio"]
    assert ranking.summary()["mAP@10"] > 1.2 * ranking.chance()["mAP@10"]
    return dict(trainer.callback_metrics)
