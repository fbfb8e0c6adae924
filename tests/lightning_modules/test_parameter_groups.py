"""Named parameter groups: rates of their own under the schedule, in the log, after resuming; wrong ones refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import BaseFinetuning, Callback, ModelCheckpoint

from common.errors import ModelError
from experiments.loggers.csv_logger import read_rows
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.training.schedules import WarmupCosine
from tests.support.runs import arguments
from tests.support.tiny import TinyData, tiny_model, tiny_trainer
from train import main

GROUPS: dict[str, dict[str, Any]] = {
    "encoders": {"parts": ["audio_encoder", "text_encoder"], "lr": 1e-3},
    "heads": {"parts": ["matcher"], "lr": 4e-2, "weight_decay": 0.1},
}


def sizes(model: DualEncoder) -> dict[str, int]:
    groups = model.configure_optimizers().param_groups
    return {group.get("name", ""): len(group["params"]) for group in groups}


def test_groups_hold_each_trained_weight_once() -> None:
    model = tiny_model(parameter_groups=GROUPS)
    groups = {group["name"]: group for group in model.configure_optimizers().param_groups}
    assert set(map(id, groups["heads"]["params"])) == set(map(id, model.matcher.parameters()))
    assert sum(len(group["params"]) for group in groups.values()) == len(list(model.parameters()))
    assert (groups["encoders"]["lr"], groups["encoders"]["weight_decay"]) == (1e-3, 0)
    assert (groups["heads"]["lr"], groups["heads"]["weight_decay"]) == (4e-2, 0.1)


def test_what_is_in_no_group_has_the_optimisers_options() -> None:
    model = tiny_model(parameter_groups={"audio_encoder": {"lr": 1e-3}, "biases": {"parts": "matcher.*bias", "lr": 0}})
    rest = model.configure_optimizers().param_groups[0]
    assert "name" not in rest
    assert rest["lr"] == 0.02
    assert sizes(model) == {"": 5, "audio_encoder": 1, "biases": 4}


def test_a_group_of_frozen_weights_is_left_out() -> None:
    model = tiny_model(parameter_groups=GROUPS)
    model.audio_encoder.requires_grad_(False)
    model.text_encoder.requires_grad_(False)
    assert list(sizes(model)) == ["heads"]
    model.requires_grad_(False)
    with pytest.raises(ModelError, match="every parameter is frozen"):
        model.configure_optimizers()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {"heds": {"lr": 1.0}},
            r"groups\.heds: 'heds' is no part .*; its parts are audio_encoder, text_encoder",
        ),
        ({"a": {"parts": ["audio_encoder", "audio"]}}, r"groups\.a: 'audio' is no part of the model"),
        ({"matcher": {}, "b": {"parts": "*.bias"}}, r"matcher\.\S+bias is both in matcher and in b"),
        ({"matcher": {"rate": 1.0}}, r"groups\.matcher: Adam refuses these options \(.*'rate'"),
        ({"matcher": {"lr": -1.0}}, r"groups\.matcher: Adam refuses these options \(Invalid learning rate: -1.0\)"),
    ],
)
def test_wrong_groups_are_refused_by_name(groups: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tiny_model(parameter_groups=groups)


class Rates(Callback):
    def __init__(self) -> None:
        self.rates: list[list[float]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        self.rates.append([group["lr"] for group in optimizer.param_groups])


def trained(folder: Path, *callbacks: Callback, resume: Path | None = None) -> DualEncoder:
    model = tiny_model(schedule=WarmupCosine(warmup=1), parameter_groups=GROUPS)
    keep = ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1, monitor="val/loss")
    trainer = tiny_trainer(folder, max_epochs=3, enable_checkpointing=True, callbacks=[keep, *callbacks])
    trainer.fit(model, datamodule=TinyData(), ckpt_path=resume, weights_only=True if resume else None)
    return model


def test_groups_keep_their_ratio_and_resume_bit_for_bit(tmp_path: Path) -> None:
    watch = Rates()
    whole = trained(tmp_path / "whole", watch)
    assert all(heads == pytest.approx(40 * encoders) for encoders, heads in watch.rates)
    assert max(encoders for encoders, _ in watch.rates) == pytest.approx(1e-3)
    resumed = trained(tmp_path / "resumed", resume=tmp_path / "whole" / "epoch=1.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


class Unfreeze(BaseFinetuning):
    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.audio_encoder)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.audio_encoder, optimizer, lr=1e-4)


def test_lightnings_finetuning_adds_its_group(tmp_path: Path) -> None:
    watch = Rates()
    trained(tmp_path, Unfreeze(), watch)
    assert {len(rates) for rates in watch.rates} == {2, 3}
    assert watch.rates[-1][2] == 1e-4
    assert watch.rates[-1][1] == pytest.approx(40 * watch.rates[-1][0])


@pytest.mark.slow
def test_each_rate_is_logged_by_name(tmp_path: Path) -> None:
    flags = ["--config", "two_rates", "--run.test_after_fit", "false"]
    flags += ["--model.parameter_groups.heads", "{parts: [matcher], lr: 5e-4}"]
    assert main(["fit", *arguments(tmp_path), *flags, "--model.schedule", "Constant"]) == 0
    (metrics,) = tmp_path.glob("runs/*/0/metrics.csv")
    rows = read_rows(metrics)
    logged = [(row["train/lr/encoders"], row["train/lr/heads"]) for row in rows if row.get("train/lr/heads")]
    assert logged
    assert all(pair == pytest.approx((2e-5, 5e-4)) for pair in logged)
