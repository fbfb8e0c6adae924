"""Vectors trained at several widths: the mean of their losses, and metrics of each."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from common.errors import ModelError
from lightning_modules.matchers import Cosine, Matryoshka
from relevance.objectives import InfoNCE, ListNet
from tests.support.tiny import TinyData, tiny_model, tiny_trainer

BATCH = [0, 2, 5, 9, 13, 17]


def test_the_loss_is_the_mean_over_widths() -> None:
    model, batch = tiny_model(ListNet("both"), matcher=Matryoshka(12, widths=[3, 6])), TinyData().pairs(BATCH)
    model.relevance.prepare(*TinyData().read_captions())
    found = model.training_step(batch, 0)
    audio, text = model.embed(batch)
    wanted = model.relevance(batch.caption_ids, batch.caption_ids)
    losses = []
    for width in (12, 6, 3):
        scores = F.normalize(text[:, :width], dim=1) @ F.normalize(audio[:, :width], dim=1).T
        losses += [model.objective(scores, wanted), model.objective(scores.T, wanted.T)]
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_without_widths_it_is_cosine() -> None:
    losses = []
    for matcher in (Cosine(12), Matryoshka(12, widths=[])):
        model = tiny_model(InfoNCE(), matcher=matcher)
        model.relevance.prepare(*TinyData().read_captions())
        losses.append(model.training_step(TinyData().pairs(BATCH), 0))
    assert torch.equal(*losses)


@pytest.mark.slow
def test_metrics_of_each_width(tmp_path: Path) -> None:
    model, data = tiny_model(InfoNCE(), matcher=Matryoshka(12, widths=[2, 6])), TinyData(graded=True)
    trainer = tiny_trainer(tmp_path, max_epochs=2)
    trainer.fit(model, datamodule=data)
    assert {"train/loss/width_6", "train/loss/width_2"} <= trainer.callback_metrics.keys()
    trainer.test(model, datamodule=data, verbose=False)
    logged = trainer.callback_metrics
    assert model.evaluation is not None
    pool = model.evaluation.pool
    for width in (6, 2):
        scores = F.normalize(pool.text[:, :width], dim=1) @ F.normalize(pool.audio[:, :width], dim=1).T
        own = scores.gather(1, pool.caption_audio[:, None])
        first = ((scores > own + 1e-6).sum(1) == 0).float()
        assert logged[f"test/width_{width}/text_to_audio/R@1"] == pytest.approx(float(first.mean()))
        assert f"test/width_{width}/audio_to_text/nDCG@10" in logged
    assert logged["test/width_2/text_to_audio/mAP@10"] != logged["test/text_to_audio/mAP@10"]


@pytest.mark.parametrize("widths", [[12], [0], [3, 3]])
def test_widths_that_cannot_be(widths: list[int]) -> None:
    with pytest.raises(ModelError, match=r"^model\.matcher: widths are .*; give each once, from 1 to 11, since"):
        Matryoshka(12, widths=widths)
