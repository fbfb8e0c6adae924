"""The objectives' losses by definition, one pair at a time in float64, for tiny models."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from datamodules.batch import Batch
from lightning_modules.dual_encoder import DualEncoder
from relevance.objectives.base import Objective
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio
from tests.support.tiny import KindRelevance, TinyData, cosine, tiny_model

TAU, OMEGA = 0.2, 0.3
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "text_to_audio": lambda: ListNet("text_to_audio", TAU, OMEGA, learn_tau=True),
    "audio_to_text": lambda: ListNet("audio_to_text", TAU, OMEGA, learn_tau=True),
    "both": lambda: ListNet("both", TAU, OMEGA, learn_tau=True),
    "infonce": lambda: InfoNCE("both", TAU, learn_tau=True),
}
PAIRS = [3, 5, 12, 4, 20]  # captions 3 and 4 describe one recording


class Lopsided(KindRelevance):
    """A relevance whose two directions differ, so that a transposed table is seen."""

    def prepare(self, captions: Any, audio_ids: Any) -> None:
        super().prepare(captions, audio_ids)
        self.table = self.table * torch.linspace(1, 0.5, len(self.table))


def model_of(name: str) -> DualEncoder:
    relevance = SameAudio() if name == "infonce" else Lopsided()
    relevance.prepare(*TinyData().read_captions())
    return tiny_model(OBJECTIVES[name](), relevance)


def raw(model: DualEncoder, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """What the heads give for recordings and captions, not normalised, float64."""
    with torch.no_grad():
        audio = cosine(model).audio_head(model.audio_encoder(batch.waveforms, batch.lengths))
        return audio.double().numpy(), cosine(model).text_head(model.text_encoder(batch.captions)).double().numpy()


def target_of(model: DualEncoder, query: int, items: list[int]) -> list[float]:
    """P of one caption over others by definition; for InfoNCE by whose recordings they are."""
    if isinstance(model.objective, InfoNCE):
        audio_of = TinyData().audio_of
        weights = [float(audio_of[item] == audio_of[query]) for item in items]
    else:
        table: Any = model.relevance.table
        weights = [math.exp(float(table[query, item]) / OMEGA) for item in items]
    return [weight / sum(weights) for weight in weights]


def loss_of(model: DualEncoder, ids: list[int], text: Any, audio: Any, tau: float = TAU) -> float:
    """The objective on pairs of captions and recordings, one by one."""
    losses = []
    for direction in model.objective.directions:
        queries, items = (text, audio) if direction == "text_to_audio" else (audio, text)
        for i, query in enumerate(queries):
            cosines = [query @ item / np.linalg.norm(query) / np.linalg.norm(item) for item in items]
            log_sum = math.log(sum(math.exp(s / tau) for s in cosines))
            target = target_of(model, ids[i], ids)
            losses.append(-sum(p * (s / tau - log_sum) for p, s in zip(target, cosines, strict=True)))
    return sum(losses) / len(losses)
