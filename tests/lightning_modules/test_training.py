"""The training step of a dual encoder against loops in float64; its learning rate; what training refuses."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from common.errors import ModelError, RelevanceError
from datamodules.batch import collate
from lightning_modules.matchers.cosine import cosine_scores
from lightning_modules.training.schedules import Constant, WarmupCosine
from tests.support.naive_loss import OBJECTIVES, PAIRS, TAU, loss_of, model_of, raw
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_training_step_is_the_objective_and_reaches_every_parameter(name: str) -> None:
    model, batch = model_of(name), TinyData().pairs(PAIRS)
    audio, text = raw(model, batch)
    loss = model.training_step(batch, 0)
    assert loss.item() == pytest.approx(loss_of(model, PAIRS, text, audio), rel=1e-6)
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    near = [loss_of(model, PAIRS, text, audio, TAU * math.exp(step)) for step in (1e-5, -1e-5)]
    assert model.objective.log_tau is not None
    assert model.objective.log_tau.grad.item() == pytest.approx((near[0] - near[1]) / 2e-5, rel=1e-4)  # type: ignore


def test_the_order_of_a_batch_s_recordings_does_not_matter() -> None:
    model, batch = model_of("both"), TinyData().pairs([0, 2, 5, 9])
    expected = model.training_step(batch, 0)
    turned = [2, 0, 3, 1]
    batch.waveforms, batch.lengths = batch.waveforms[turned], batch.lengths[turned]
    batch.caption_audio = torch.tensor([turned.index(row) for row in range(4)])
    assert torch.allclose(model.training_step(batch, 0), expected)


def test_bad_targets_are_refused_at_the_first_step() -> None:
    model, batch = model_of("both"), TinyData().pairs(PAIRS)
    model.relevance.table *= 2  # type: ignore[operator, assignment]
    with pytest.raises(RelevanceError, match=r"relevance must be in \[0, 1\] but spans"):
        model.training_step(batch, 0)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_scores_stay_float32_under_autocast(precision: torch.dtype) -> None:
    queries, items = torch.rand(5, 64, requires_grad=True), torch.rand(7, 64)
    with torch.autocast("cpu", dtype=precision):
        assert (queries @ items.T).dtype == precision  # else autocast did nothing
        scores = cosine_scores(queries, items)
        half = cosine_scores(queries.to(precision), items)
    assert scores.dtype == half.dtype == torch.float32
    assert torch.equal(scores, queries @ items.T)
    scores.sum().backward()
    assert torch.allclose(queries.grad, items.sum(0).expand(5, -1))  # type: ignore[arg-type]


def test_a_training_step_under_autocast_scores_and_judges_in_float32() -> None:
    model, batch = model_of("both"), TinyData().pairs(PAIRS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        audio, text = model.embed_audio(batch.waveforms, batch.lengths), model.embed_text(batch.captions)
        loss = model.training_step(batch, 0)
    assert audio.dtype == text.dtype == loss.dtype == torch.float32
    assert torch.allclose(audio.norm(dim=1), torch.ones(len(audio)), atol=1e-6)
    expected = loss_of(model, PAIRS, text.detach().double().numpy(), audio.detach().double().numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


class Rates(Callback):
    """The learning rates that the optimiser's steps are made with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        self.rates += [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_schedule_sets_the_rate_of_every_step(tmp_path: Path, epochs: int) -> None:
    model, data, rates = tiny_model(lr=0.02, schedule=WarmupCosine(warmup=1.5, floor=0.1)), TinyData(), Rates()
    trainer = tiny_trainer(tmp_path, max_epochs=epochs, callbacks=[rates], limit_val_batches=0)
    trainer.fit(model, datamodule=data)
    steps = len(data.train_dataloader())
    expected = []
    for step in range(1, epochs * steps + 1):
        epoch = step / steps
        fall = 0.1 + 0.9 * (1 + math.cos(math.pi * (epoch - 1.5) / (epochs - 1.5))) / 2
        expected.append(0.02 * (epoch / 1.5 if epoch < 1.5 else fall))
    assert rates.rates == pytest.approx(expected)


def test_a_training_without_an_end_is_refused_where_the_schedule_needs_one(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, max_epochs=-1, max_steps=50, limit_val_batches=0)
    with pytest.raises(ModelError, match=r"set trainer\.max_epochs, or the schedule's until"):
        trainer.fit(tiny_model(schedule=WarmupCosine(warmup=0)), datamodule=TinyData())


def test_frozen_parameters_stay_as_they_are(tmp_path: Path) -> None:
    model = tiny_model(schedule=Constant())
    model.audio_encoder.requires_grad_(False)
    given = {id(parameter) for group in model.configure_optimizers().param_groups for parameter in group["params"]}
    trained = {id(p) for name, p in model.named_parameters() if not name.startswith("audio_encoder")}
    assert given == trained
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tiny_trainer(tmp_path, max_epochs=1, limit_val_batches=0).fit(model, datamodule=TinyData())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("audio_encoder"), name


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    model = tiny_model()
    trainer = tiny_trainer(tmp_path, max_epochs=8)
    trainer.fit(model, datamodule=TinyData(train=40, held_out=20))
    assert model.evaluation is not None
    for result in model.evaluation.rankings.values():
        assert result.summary()["mAP@10"] > 2 * result.chance()["mAP@10"]  # 3 times it is reached
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for direction, result in model.evaluation.rankings.items():
        assert logged[f"val/{direction}/mAP@10"] == pytest.approx(result.summary()["mAP@10"])
    assert logged["val/loss"] == pytest.approx(model.pool_loss(model.evaluation.pool).item())


def test_a_data_module_without_captions_is_refused(tmp_path: Path) -> None:
    loader: DataLoader[Any] = DataLoader([TinyData().example(0, [0])], collate_fn=collate)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"needs a data module with read_captions\(\) to make its targets from"):
        tiny_trainer(tmp_path, max_epochs=1).fit(tiny_model(), loader)


@pytest.mark.parametrize("loss_batch", [1, 0, -3])
def test_a_loss_batch_that_ranks_nothing_is_refused(loss_batch: int) -> None:
    with pytest.raises(ModelError, match=rf"model\.loss_batch is {loss_batch}: give at least 2"):
        tiny_model(loss_batch=loss_batch)
