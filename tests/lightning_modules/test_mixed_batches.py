"""A training step on mixes: targets from the relevance of their parts, on one rank and on two."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from datamodules.batch import Batch, MixedPairs
from lightning_modules.dual_encoder import DualEncoder
from relevance.mixes import MixParts, relevance_of_mixes
from relevance.objectives import ListNet
from tests.support.ranks import on_ranks
from tests.support.seams import DirectedRelevance
from tests.support.tiny import TinyData, tiny_model

BATCH = [0, 2, 5, 9, 13, 17]
OTHERS = [7, 2, 1, 9, 20, 3]
WEIGHTS = [0.6, 1.0, 0.5, 1.0, 0.3, 0.8]


def mixed(places: range) -> Batch:
    ids = torch.tensor([[BATCH[i], OTHERS[i]] for i in places])
    weights = torch.tensor([[WEIGHTS[i], 1 - WEIGHTS[i]] for i in places])
    return replace(TinyData().pairs([BATCH[i] for i in places]), mixes=MixedPairs(ids, weights, "weighted"))


def prepared() -> DualEncoder:
    model = tiny_model(ListNet("both", tau=0.3, omega=0.2), DirectedRelevance())
    model.relevance.prepare(*TinyData().read_captions())
    return model


def test_targets_are_those_of_mixes() -> None:
    model, batch = prepared(), mixed(range(6))
    assert batch.mixes is not None
    parts = MixParts(batch.mixes.ids, batch.mixes.weights)
    wanted = relevance_of_mixes(model.relevance, parts, parts, model.objective.directions, "weighted")
    audio, text = model.embed(batch)
    losses = [model.objective(text @ audio.T, wanted["text_to_audio"])]
    losses.append(model.objective(audio @ text.T, wanted["audio_to_text"]))
    found = model.training_step(batch, 0)
    torch.testing.assert_close(found, torch.stack(losses).mean())
    assert not torch.equal(found, model.training_step(replace(batch, mixes=None), 0))


def test_pairs_mixed_with_themselves_train_as_without_mixes() -> None:
    model, batch = prepared(), TinyData().pairs(BATCH)
    own = MixedPairs(batch.caption_ids[:, None].expand(-1, 2), torch.tensor([[1.0, 0.0]]).expand(6, -1), "max")
    assert torch.equal(model.training_step(batch, 0), model.training_step(replace(batch, mixes=own), 0))


def step(places: range) -> dict[str, Tensor]:
    model = prepared()
    loss = model.training_step(mixed(places), 0)
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in model.named_parameters() if p.grad is not None}}


def on_a_rank(rank: int) -> dict[str, Tensor]:
    return step(range(3 * rank, 3 * rank + 3))


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path: Path) -> None:
    ranks = on_ranks(on_a_rank, tmp_path)
    for key, expected in step(range(6)).items():
        mean = torch.stack([rank[key] for rank in ranks]).mean(0)
        torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-6)
