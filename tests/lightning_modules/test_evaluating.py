"""Evaluation of a dual encoder, query by query, against loops in float64; on two ranks as on one."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader

from common.directions import DIRECTIONS, Direction
from datamodules.batch import collate
from datamodules.sampling.pair_batches import rank_share
from evaluation.evaluator import Evaluation
from lightning_modules.dual_encoder import DualEncoder
from tests.support.naive_loss import OBJECTIVES, loss_of, model_of, raw
from tests.support.ranks import on_ranks
from tests.support.tiny import TinyData, cosine, tiny_model, tiny_trainer


def evaluated(model: DualEncoder, folder: Path, data: TinyData, how: str = "validate") -> Evaluation:
    getattr(tiny_trainer(folder), how)(model, datamodule=data, verbose=False)
    assert model.evaluation is not None
    return model.evaluation


def naive_pool_loss(model: DualEncoder, data: TinyData, loss_batch: int) -> float:
    """Every recording's first caption in batches of recordings in order, then every second caption, ..."""
    total, count = 0.0, 0
    audio_ids = data.audio_ids["validation"]
    for slot in range(max(len(data.captions_of(audio)) for audio in audio_ids)):
        ids = [data.captions_of(audio)[slot] for audio in audio_ids if slot < len(data.captions_of(audio))]
        for start in range(0, len(ids), loss_batch):
            batch = ids[start : start + loss_batch]
            audio, text = raw(model, data.pairs(batch))
            total += loss_of(model, batch, text, audio) * len(batch)
            count += len(batch)
    return total / count


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("loss_batch", [5, 32])
def test_the_pool_s_loss_is_the_naive_one_however_it_was_computed(tmp_path: Path, name: str, loss_batch: int) -> None:
    model = model_of(name)
    model.loss_batch = loss_batch
    for batch_size in (1, 4, 50):
        data = TinyData(held_out=12, batch_size=batch_size)
        loss = model.pool_loss(evaluated(model, tmp_path, data).pool)
        assert loss.item() == pytest.approx(naive_pool_loss(model, data, loss_batch), rel=1e-5)


class Distinct(TinyData):
    """Captions that all differ, so that nothing ties."""

    def __init__(self, **options: Any) -> None:
        super().__init__(train=6, graded=True, **options)
        self.captions = [f"{caption} {chr(33 + i)}" for i, caption in enumerate(self.captions)]


def naive_metrics(scores: np.ndarray, right: list[bool], gains: np.ndarray) -> dict[str, float]:
    """What is told of one query, read off its sorted list."""
    order = np.argsort(-scores)
    hits = [right[item] for item in order]
    precisions = [sum(hits[: place + 1]) / (place + 1) for place in range(10) if hits[place]]
    return {
        "AP@10": sum(precisions) / max(len(precisions), 1),
        "AP@10_all": sum(precisions) / sum(right),
        **{f"R@{k}": sum(hits[:k]) / sum(right) for k in (1, 5, 10, 50)},
        **{f"hit@{k}": float(any(hits[:k])) for k in (1, 5, 10, 50)},
        "first_rank": hits.index(True) + 1,
        "tied": 0.0,
        "nDCG@10": discounted(gains[order]) / discounted(np.sort(gains)[::-1]),
    }


def discounted(gains: Any) -> float:
    return sum(float(gain) / math.log2(place + 2) for place, gain in enumerate(gains[:10]))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_test_split_is_evaluated_query_by_query(tmp_path: Path, direction: Direction) -> None:
    model, data = tiny_model(), Distinct()
    evaluation = evaluated(model, tmp_path, data, "test")
    audio_ids = list(data.audio_ids["test"])
    caption_ids = [i for i, audio in enumerate(data.audio_of) if audio in audio_ids]
    pairs = [raw(model, data.pairs([i])) for i in caption_ids]
    text = np.concatenate([text / np.linalg.norm(text) for _, text in pairs])  # (C, D)
    first = [caption_ids.index(data.captions_of(a)[0]) for a in audio_ids]
    audio = np.concatenate([pairs[row][0] / np.linalg.norm(pairs[row][0]) for row in first])  # (A, D)
    described = np.array([audio_ids.index(data.audio_of[i]) for i in caption_ids])
    scores, right = text @ audio.T, described[:, None] == np.arange(len(audio_ids))
    truth = data.graded_relevance("test")
    assert truth is not None
    gains = truth[described]  # (C, A)
    if direction == "audio_to_text":
        scores, right, gains = scores.T, right.T, gains.T

    result = evaluation.rankings[direction]
    columns = result.per_query
    for query in range(len(scores)):
        expected = naive_metrics(scores[query], right[query].tolist(), gains[query])
        assert {name: column[query] for name, column in columns.items()} == pytest.approx(expected, rel=1e-6)
        assert result.topk_scores[query] == pytest.approx(np.sort(scores[query])[::-1][:10], abs=1e-6)
    blind = [discounted([row.mean()] * len(row)) / discounted(np.sort(row)[::-1]) for row in gains]
    assert result.chance()["nDCG@10"] == pytest.approx(np.mean(blind), rel=1e-6)


@pytest.mark.parametrize("options", [{"limit_test_batches": 1}, {}])
def test_graded_relevance_is_used_only_where_it_is_known_of_all(tmp_path: Path, options: dict[str, Any]) -> None:
    model, data = tiny_model(), TinyData(graded=bool(options))
    trainer = tiny_trainer(tmp_path, **options)
    trainer.test(model, datamodule=data, verbose=False)
    assert model.evaluation is not None
    for result in model.evaluation.rankings.values():
        assert (result.further, result.further_chance) == ({}, {})
    assert model.evaluation.rankings["text_to_audio"].items == (6 if options else 12)
    assert not [name for name in trainer.callback_metrics if "nDCG" in name]


def test_a_collapsed_model_scores_like_chance(tmp_path: Path) -> None:
    model, data = tiny_model(), TinyData(graded=True)
    for head in (cosine(model).audio_head, cosine(model).text_head):
        for parameter in head.parameters():
            torch.nn.init.constant_(parameter, 0.0 if parameter.ndim == 2 else 1.0)
    for result in evaluated(model, tmp_path, data, "test").rankings.values():
        assert "nDCG@10" in result.summary()
        assert result.summary() == pytest.approx(result.chance())


def test_predictions_are_the_pool_s_embeddings_by_name(tmp_path: Path) -> None:
    model, data = tiny_model(), TinyData()
    pool = evaluated(model, tmp_path, data, "test").pool
    batches: Any = tiny_trainer(tmp_path).predict(model, datamodule=data)
    for batch in batches:
        assert batch["names"] == [f"{audio}.wav" for audio in batch["audio_ids"].tolist()]
        rows = torch.searchsorted(pool.audio_ids, batch["audio_ids"])
        assert torch.allclose(batch["embeddings"], pool.audio[rows], atol=1e-6)
    assert sum(len(batch["names"]) for batch in batches) == len(pool.audio)


class Shared(Distinct):
    """Each rank evaluates its share of 11 recordings: the last of rank 1 is a repeat of rank 0's first.

    No caption is there twice: how rounding parts such ties depends on the batch, and on the CPU.
    """

    def __init__(self) -> None:
        super().__init__(held_out=11, batch_size=4)

    def _evaluation(self, split: str) -> Any:
        rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        mine = [self.audio_ids[split][row] for row in rank_share(11, rank, ranks)]
        examples = [self.example(audio, self.captions_of(audio)) for audio in mine]
        return DataLoader(examples, batch_size=self.batch_size, collate_fn=collate)  # type: ignore[arg-type]


def evaluation(rank: int) -> dict[str, Tensor]:
    """Everything that an evaluation leaves, in tensors."""
    model = model_of("both")
    trainer = tiny_trainer(Path("unused"))
    trainer.validate(model, datamodule=Shared(), verbose=False)
    assert model.evaluation is not None
    left = {f"pool.{name}": value for name, value in vars(model.evaluation.pool).items() if isinstance(value, Tensor)}
    left |= {f"logged.{name}": torch.as_tensor(value) for name, value in trainer.callback_metrics.items()}
    for direction, result in model.evaluation.rankings.items():
        columns = {**result.per_query, "best": result.topk_items}
        left |= {f"{direction}.{name}": torch.from_numpy(column) for name, column in columns.items()}
    return left


def test_two_ranks_evaluate_like_one(tmp_path: Path) -> None:
    expected = evaluation(0)
    assert {"pool.audio", "logged.val/loss", "logged.val/text_to_audio/nDCG@10"} < expected.keys()
    assert len(expected["pool.audio"]) == 11
    for left in on_ranks(evaluation, tmp_path):
        assert left.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(left[name], value, msg=partial("{}: {}".format, name))
