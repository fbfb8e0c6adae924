"""Normalisation in a test: the bank is of training captions, plain results stay, two ranks report what one does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import ModelError, RelevanceError
from evaluation.evaluator import evaluate
from evaluation.normalisation import qb_norm
from evaluation.normalised_metrics import DualSoftmax, Normalisation, QBNorm, Sinkhorn, with_normalisation
from evaluation.ranking import retrieval_metrics
from evaluation.scores import EmbeddingScores
from lightning_modules.distributed import sharded_metrics
from lightning_modules.query_bank import bank_scores
from tests.support.compared import make_pool
from tests.support.ranks import on_ranks
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


def after_test(folder: Path, normalisation: Normalisation | list[Normalisation] | None) -> tuple[Any, TinyData]:
    model, data = tiny_model(normalisation=normalisation), TinyData()
    tiny_trainer(folder).test(model, datamodule=data, verbose=False)
    return model, data


def test_a_test_has_the_plain_result_and_that_of_a_bank_of_training_captions(tmp_path: Path) -> None:
    model, data = after_test(tmp_path, QBNorm(beta=5.0, k=2))
    plain, _ = after_test(tmp_path, None)
    ranking = model.evaluation.rankings["text_to_audio"]
    for name, values in plain.evaluation.rankings["text_to_audio"].per_query.items():
        assert np.array_equal(ranking.per_query[name], values)
    bank = [text for text, audio in zip(data.captions, data.audio_of, strict=True) if audio in data.audio_ids["train"]]
    pool = model.evaluation.pool
    with torch.inference_mode():
        scores = qb_norm(model.evaluation.scores, EmbeddingScores(model.embed_text(bank), pool.audio), 5.0, 2)
    expected = retrieval_metrics(scores, torch.arange(len(pool.text)), pool.caption_audio)
    assert np.array_equal(ranking.per_query["AP@10_qb_norm"], expected.per_query["AP@10"])
    assert model.trainer.callback_metrics["test/text_to_audio/mAP@10_qb_norm"] == pytest.approx(
        expected.summary()["mAP@10"]
    )


def test_a_validation_reports_none(tmp_path: Path) -> None:
    model = tiny_model(normalisation=[QBNorm(), Sinkhorn()])
    tiny_trainer(tmp_path).validate(model, datamodule=TinyData(), verbose=False)
    assert model.evaluation is not None
    assert not any("qb_norm" in name for name in model.evaluation.rankings["text_to_audio"].per_query)


@pytest.mark.parametrize(("most", "rows"), [(None, range(72)), (72, range(72)), (30, range(0, 72, 3)), (1, [0])])
def test_a_bank_can_be_smaller(tmp_path: Path, most: int | None, rows: Any) -> None:
    model, data = after_test(tmp_path, None)
    assert len(data.caption_ids("train")) == 72
    audio = model.evaluation.pool.audio
    with torch.inference_mode():
        expected = model.embed_text([data.captions[i] for i in rows]) @ audio.T
    found = bank_scores(model, audio, most).block(slice(None), slice(None))
    torch.testing.assert_close(found, expected)


def test_data_without_training_captions_are_refused(tmp_path: Path) -> None:
    model, data = after_test(tmp_path, None)
    data.audio_ids["train"] = range(0)
    with pytest.raises(ModelError, match="QBNorm reads training captions, and these data have none; leave it out"):
        bank_scores(model, model.evaluation.pool.audio)


def test_the_same_normalisation_twice_is_refused() -> None:
    with pytest.raises(RelevanceError, match="dual_softmax is given twice"):
        tiny_model(normalisation=[DualSoftmax(), DualSoftmax(0.1)])


def normalised(rank: Any) -> dict[str, list[float]]:
    pool = make_pool([f"{i}.wav" for i in range(40)], 0, 1.0)
    bank = EmbeddingScores(make_pool(["a.wav"], 1, 1.0).text, pool.audio)
    made = evaluate("test", pool, rank=rank)
    for normalisation in (QBNorm(), DualSoftmax(), Sinkhorn()):
        made = with_normalisation(made, normalisation, lambda most: bank, rank)
    return {
        f"{side}/{name}": values.tolist()
        for side, ranking in made.rankings.items()
        for name, values in ranking.further.items()
    }


def on_one_of_two(rank: int) -> dict[str, list[float]]:
    return normalised(sharded_metrics)


@pytest.mark.slow
def test_two_ranks_report_what_one_does(tmp_path: Path) -> None:
    alone = normalised(retrieval_metrics)
    assert len(alone) == 2 * 3 * 5
    for found in on_ranks(on_one_of_two, tmp_path):
        assert found.keys() == alone.keys()
        for name, values in alone.items():
            np.testing.assert_array_equal(found[name], values)
