"""Each seam of the model with a second implementation, through training, evaluation and two ranks."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import ModelError
from evaluation.scores import FunctionScores
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.pooling import AttentionPooling, MeanPooling
from lightning_modules.states import States
from relevance.objectives import InfoNCE, ListNet
from tests.support.ranks import on_ranks
from tests.support.seams import DirectedRelevance, TokenText, TwoVectors
from tests.support.tiny import KindRelevance, TinyAudio, TinyData, tiny_model, tiny_trainer

BATCH = [0, 2, 5, 9, 13, 17]


def directed() -> DualEncoder:
    return prepared(tiny_model(ListNet("both", tau=0.3, omega=0.2), DirectedRelevance()))


def two_vectors() -> DualEncoder:
    return prepared(tiny_model(ListNet("both"), matcher=TwoVectors()))


def tokens(pooling: MeanPooling | AttentionPooling | None) -> DualEncoder:
    torch.manual_seed(0)
    return prepared(DualEncoder(TinyAudio(), TokenText(), KindRelevance(), ListNet("both"), text_pooling=pooling))


def prepared(model: DualEncoder) -> DualEncoder:
    model.relevance.prepare(*TinyData().read_captions())
    return model


def by_hand(scores: np.ndarray, relevance: np.ndarray, tau: float, omega: float) -> float:
    """ListNet's loss of scores (Q, N) in loops."""
    total = 0.0
    for s, g in zip(scores.tolist(), relevance.tolist(), strict=True):
        wanted = [math.exp(value / omega) for value in g]
        given = [math.exp(value / tau) for value in s]
        total -= sum(w / sum(wanted) * math.log(q / sum(given)) for w, q in zip(wanted, given, strict=True))
    return total / len(scores)


def test_a_directed_relevance_makes_other_targets_in_each_direction() -> None:
    model, batch = directed().double(), TinyData().pairs(BATCH)
    loss = model.training_step(batch, 0)
    audio, text = model.embed(batch)
    scores = (text @ audio.T).detach().double().numpy()
    table = model.relevance.table.numpy()[np.ix_(BATCH, BATCH)]  # type: ignore[union-attr, operator]
    expected = [by_hand(scores, table, 0.3, 0.2), by_hand(scores.T, table.T, 0.3, 0.2)]
    assert float(loss) == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert expected[1] != pytest.approx(by_hand(scores.T, table, 0.3, 0.2), rel=1e-3)  # the other direction's table


def test_gradients_of_a_directed_relevance_are_those_of_small_steps() -> None:
    model, batch = directed(), TinyData().pairs(BATCH)
    weight = model.matcher.text_head[0].weight  # type: ignore[union-attr, index]
    model.training_step(batch, 0).backward()
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        losses = []
        for step in (1e-2, -1e-2):
            weight += step * direction
            losses.append(float(model.training_step(batch, 0)))
            weight -= step * direction
    assert float((weight.grad * direction).sum()) == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.02)


@pytest.mark.slow
def test_a_matcher_of_two_vectors_trains_and_is_evaluated(tmp_path: Path) -> None:
    model, data = two_vectors(), TinyData()
    trainer = tiny_trainer(tmp_path, max_epochs=3)
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    evaluation = model.evaluation
    assert evaluation is not None
    assert isinstance(evaluation.scores, FunctionScores)
    text, audio = evaluation.pool.text, evaluation.pool.audio
    assert (text.shape[1:], audio.shape[1:]) == ((2, 5), (2, 5))
    described = evaluation.pool.caption_audio
    hits, reciprocal = [], []
    for caption, own in enumerate(described.tolist()):
        pairs = [[float(text[caption, e] @ clip[e]) for e in range(2)] for clip in audio]
        scores = [0.7 * max(pair) + 0.3 * pair[0] for pair in pairs]
        rank = 1 + sum(score > scores[own] + 1e-6 for score in scores)
        hits.append(rank <= 1)
        reciprocal.append(1 / rank if rank <= 10 else 0)
    summary = evaluation.rankings["text_to_audio"].summary()
    assert summary["R@1"] == pytest.approx(np.mean(hits))
    assert summary["mAP@10"] == pytest.approx(np.mean(reciprocal))
    assert summary["mAP@10"] > evaluation.rankings["text_to_audio"].chance()["mAP@10"]


def step(model: DualEncoder, ids: list[int]) -> dict[str, Tensor]:
    """The loss of a step, and the gradients it leaves."""
    loss = model.training_step(TinyData().pairs(ids), 0)
    loss.backward()
    return {"loss": loss.detach(), **{name: p.grad for name, p in model.named_parameters() if p.grad is not None}}


def on_a_rank(rank: int) -> dict[str, dict[str, Tensor]]:
    mine = BATCH[3 * rank : 3 * rank + 3]
    return {"directed": step(directed(), mine), "two vectors": step(two_vectors(), mine)}


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path: Path) -> None:
    ranks = on_ranks(on_a_rank, tmp_path)
    for name, model in (("directed", directed()), ("two vectors", two_vectors())):
        whole = step(model, BATCH)
        for key, expected in whole.items():
            mean = torch.stack([rank[name][key] for rank in ranks]).mean(0)
            torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-6)


def test_the_mean_of_tokens_does_not_see_the_padding() -> None:
    model = tokens(MeanPooling())
    captions = ["a loud dog barks here", "rain", "distant rain falls"]
    states = model.text_encoder(captions)
    assert isinstance(states, States)
    assert states.values.isnan().any()
    pooled = MeanPooling()(states)
    for row, caption in enumerate(captions):
        words = [model.text_encoder([word]).values[0, 0] for word in caption.split()]
        torch.testing.assert_close(pooled[row], sum(words[1:], words[0]) / len(words))
    together = model.embed_text(captions)
    for row, caption in enumerate(captions):
        torch.testing.assert_close(model.embed_text([caption])[0], together[row])


def test_attention_pooling_weighs_states() -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(hidden=4)
    assert pooling.connect(3) == 3
    values, lengths = torch.randn(2, 5, 3), torch.tensor([2, 5])
    pooled = pooling(States(values.clone(), lengths))
    for row, length in enumerate(lengths.tolist()):
        scores = [float(pooling.score(values[row, i])) for i in range(length)]
        weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
        expected = sum(weight * values[row, i] for i, weight in enumerate(weights))
        torch.testing.assert_close(pooled[row], torch.as_tensor(expected))
    values[0, 2:] = float("nan")
    torch.testing.assert_close(pooling(States(values, lengths)), pooled)
    pooled.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pooling.parameters())


@pytest.mark.slow
def test_tokens_train(tmp_path: Path) -> None:
    model = tokens(AttentionPooling(hidden=4))
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, datamodule=TinyData())
    assert math.isfinite(trainer.callback_metrics["val/loss"])


def test_tokens_and_vectors_are_not_mixed_up() -> None:
    with pytest.raises(ModelError, match=r"^model\.text_encoder gives tokens, and Cosine takes one vector"):
        tokens(None).embed_text(["rain"])
    model = tiny_model(InfoNCE(), text_pooling=MeanPooling())
    with pytest.raises(ModelError, match=r"^model\.text_encoder gives one vector already: leave"):
        model.embed_text(["rain"])
