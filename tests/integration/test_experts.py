"""Whole trainings of expert models: evaluation, resuming, prediction, and two ranks."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.evaluator import evaluate
from evaluation.gated_scores import GatedScores
from experiments.results.pool_file import read_pool, write_pool
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import CollaborativeExperts, Cosine, Matcher, MixtureOfExperts
from lightning_modules.pooling import MeanPooling
from relevance.objectives import InfoNCE, MaxMargin
from retrieval.search_index import Recordings, SearchIndex
from tests.support.experts import ExpertData, expert_model, matchers
from tests.support.ranks import on_ranks
from tests.support.tiny import tiny_trainer

BATCH = [0, 2, 5, 9, 13, 17]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*matchers(), "cosine"])
def test_a_model_of_experts_trains_and_is_evaluated(name: str, tmp_path: Path) -> None:
    matcher: Matcher = (matchers() | {"cosine": Cosine(6, "linear")})[name]
    model, data = expert_model(matcher, InfoNCE() if name == "cosine" else MaxMargin()), ExpertData(train=36)
    trainer = tiny_trainer(tmp_path, max_epochs=12)
    trainer.fit(model, datamodule=data)
    logged = set(trainer.callback_metrics)
    assert ("train/tau" in logged) == ("train/target_entropy" in logged) == (name == "cosine")
    trainer.test(model, datamodule=data, verbose=False)
    evaluation = model.evaluation
    assert evaluation is not None
    assert isinstance(evaluation.scores, GatedScores) == (name != "cosine")
    for ranking in evaluation.rankings.values():
        assert ranking.summary()["mAP@10"] > ranking.chance()["mAP@10"]
    pool = evaluation.pool
    plain = model.matcher.scores(pool.text, pool.audio)
    best = plain.max(1).values[:, None] - plain < 1e-6
    found = torch.tensor(evaluation.rankings["text_to_audio"].topk_items[:, 0])
    assert best[torch.arange(len(found)), found].all()
    predicted: Any = trainer.predict(model, datamodule=data)
    vectors = torch.cat([each["embeddings"] for each in predicted]).flip(0)  # in the order of ids
    torch.testing.assert_close(vectors, pool.audio, atol=1e-6, rtol=0)


def test_a_kept_pool_of_experts_is_ranked_as_it_was(tmp_path: Path) -> None:
    model, data = expert_model(MixtureOfExperts()), ExpertData()
    tiny_trainer(tmp_path).test(model, datamodule=data, verbose=False)
    evaluation = model.evaluation
    assert evaluation is not None
    names = {i: f"{i}.wav" for i in evaluation.pool.audio_ids.tolist()}
    named = evaluation.named(names, dict(enumerate(data.captions)))
    write_pool(tmp_path / "pool.safetensors", named)
    kept = read_pool(tmp_path / "pool.safetensors")
    assert kept.gates == kept.in_order().gates == 2
    for direction, ranking in evaluate("test", kept).rankings.items():
        assert ranking.summary() == evaluation.rankings[direction].summary()


def test_experts_are_searched_by_the_plain_score() -> None:
    model = expert_model(CollaborativeExperts(6)).eval()
    batch = ExpertData().pairs(BATCH)
    with torch.inference_mode():
        audio, text = model.embed_audio(*model.audio_inputs(batch)), model.embed_text(["loud dog"])
        scores = model.matcher.scores(text, audio)[0]
    nothing = [None] * len(BATCH)
    index = SearchIndex(model, Recordings("here", batch.names, [*nothing], [*nothing], audio.numpy()))
    hits = index.search("loud dog", 3)
    assert [hit.name for hit in hits] == [batch.names[row] for row in scores.argsort(descending=True)[:3]]
    assert [hit.similarity for hit in hits] == pytest.approx(scores.sort(descending=True).values[:3].tolist(), abs=1e-6)


@pytest.mark.slow
def test_a_resumed_training_ends_bit_for_bit_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    def trained(folder: str, epochs: int, start: Path | None = None) -> DualEncoder:
        model = expert_model(CollaborativeExperts(6))
        trainer = tiny_trainer(tmp_path / folder, max_epochs=epochs)
        trainer.fit(model, datamodule=ExpertData(), ckpt_path=start, weights_only=True)
        trainer.save_checkpoint(tmp_path / folder / "last.ckpt")
        return model

    trained("first", 1)
    whole, resumed = trained("whole", 3), trained("rest", 3, tmp_path / "first" / "last.ckpt")
    states = whole.state_dict(), resumed.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def without_statistics() -> DualEncoder:
    """A model whose normalisations use what they have gathered, not the batch."""
    model = expert_model(CollaborativeExperts(6), pooling=MeanPooling)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.eval()
    return model


def step(model: DualEncoder, ids: list[int]) -> dict[str, Tensor]:
    loss = model.training_step(ExpertData().pairs(ids), 0)
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in model.named_parameters() if p.grad is not None}}


def on_a_rank(rank: int) -> dict[str, Tensor]:
    return step(without_statistics(), BATCH[3 * rank : 3 * rank + 3])


@pytest.mark.slow
def test_two_ranks_equal_one_where_there_are_no_batch_statistics(tmp_path: Path) -> None:
    ranks = on_ranks(on_a_rank, tmp_path)
    whole = step(without_statistics(), BATCH)
    assert any(float(value.abs().max()) > 1e-3 for name, value in whole.items() if name != "loss")
    for name, expected in whole.items():
        mean = torch.stack([rank[name] for rank in ranks]).mean(0)
        torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-6)


def test_batch_statistics_of_several_devices_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Trainer:
        world_size, is_global_zero = 2, True

    model = expert_model(MixtureOfExperts())
    model._trainer = Trainer()  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        model.on_fit_start()
    assert "batch normalisations take the statistics of each device's share" in caplog.text
    assert np.array([word in caplog.text for word in ("sync_batchnorm", "7 batch")]).all()
