"""The logged norm of the gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.loggers.csv_logger import MetricsLogger
from relevance.objectives.base import listnet_loss
from relevance.objectives.listnet import ListNet
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


def gradient_norms(folder: Path, **options: Any) -> dict[int, float]:
    """By step what a training of four steps without clipping's effect logs."""
    logger = MetricsLogger(folder, "metrics.csv")
    trainer = tiny_trainer(folder, logger=logger, max_steps=4, limit_val_batches=0, **options)
    trainer.fit(tiny_model(ListNet("text_to_audio")), datamodule=TinyData())
    return {int(row["step"]): row["train/gradient_norm"] for row in logger.rows if "train/gradient_norm" in row}


def test_the_gradient_norm_is_that_of_all_gradients_before_clipping(tmp_path: Path) -> None:
    data, model = TinyData(), tiny_model(ListNet("text_to_audio"))
    model.relevance.prepare(*data.read_captions())
    loader = data.train_dataloader()
    batches = [batch for batch, _ in zip(loader, range(2), strict=False)]
    losses = []
    for batch in batches:
        scores = model.embed_text(batch.captions) @ model.embed_audio(batch.waveforms, batch.lengths).T
        losses.append(listnet_loss(scores, model.relevance(batch.caption_ids, batch.caption_ids), 0.05, 0.05))
    gradients = torch.autograd.grad(torch.stack(losses).mean(), list(model.parameters()))
    expected = float(torch.cat([gradient.flatten() for gradient in gradients]).square().sum().sqrt())

    logged = gradient_norms(tmp_path, accumulate_grad_batches=2, gradient_clip_val=1e-3, log_every_n_steps=1)
    assert logged[0] == pytest.approx(expected, rel=1e-4)
    assert list(logged) == [0, 1, 2, 3]


def test_the_gradient_norm_costs_nothing_on_other_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    norm = torch.nn.utils.get_total_norm
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda gradients: calls.append(1) or norm(gradients))
    assert list(gradient_norms(tmp_path, log_every_n_steps=2)) == [1, 3]
    assert len(calls) == 2
