"""What a checkpoint of a dual encoder holds, and what a run resumes or begins with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from common.errors import ModelError
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers.cosine import Cosine
from lightning_modules.training.schedules import Constant, WarmupCosine
from relevance.objectives.base import Objective
from relevance.objectives.listnet import ListNet
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


def trained(folder: Path, epochs: int = 3, resume: Path | None = None, **options: Any) -> DualEncoder:
    """A model trained in `folder`, which keeps its checkpoint after epoch 1 aside as `first.ckpt`."""
    model = tiny_model(ListNet("both", learn_tau=True), schedule=WarmupCosine(warmup=1), **options)
    aside = ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1, save_last=True, monitor="val/loss")
    trainer = tiny_trainer(folder, max_epochs=epochs, enable_checkpointing=True, callbacks=[aside])
    trainer.fit(model, datamodule=TinyData(), ckpt_path=resume, weights_only=True if resume else None)
    return model


def assert_equal_weights(ours: DualEncoder, theirs: DualEncoder) -> None:
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(tmp_path: Path, epoch: int, dropout: float) -> None:
    whole = trained(tmp_path / "whole", dropout=dropout)
    resumed = trained(tmp_path / "resumed", resume=tmp_path / "whole" / f"epoch={epoch}.ckpt", dropout=dropout)
    assert_equal_weights(resumed, whole)
    assert whole.evaluation is not None
    assert resumed.evaluation is not None
    for direction, result in whole.evaluation.rankings.items():
        assert result.summary() == resumed.evaluation.rankings[direction].summary()


def test_a_checkpoint_holds_neither_the_pool_nor_the_targets(tmp_path: Path) -> None:
    model = tiny_model(schedule=Constant())
    keep = ModelCheckpoint(dirpath=tmp_path, save_last=True)
    tiny_trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[keep]).fit(model, datamodule=TinyData())
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert content["state_dict"].keys() == dict(model.named_parameters()).keys()


def test_init_from_takes_weights_and_nothing_else(tmp_path: Path) -> None:
    source = trained(tmp_path, epochs=1)
    model = tiny_model(ListNet("both", learn_tau=True), seed=8, init_from=str(tmp_path / "last.ckpt"), lr=0.5)
    assert_equal_weights(model, source)
    optimizer = model.configure_optimizers()
    assert not optimizer.state
    assert [(group["lr"], group["initial_lr"]) for group in optimizer.param_groups] == [(0.5, 0.5)]
    trainer = tiny_trainer(tmp_path, max_epochs=1, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(model, datamodule=TinyData())
    assert (trainer.current_epoch, trainer.global_step) == (1, 2)


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        (ListNet(), {}, r"1 unknown \(e\.g\. objective\.log_tau\) of \d+ names"),
        (ListNet(learn_tau=True), {"matcher": Cosine(12, "linear")}, r"4 missing .* 8 unknown .* of 7 names"),
    ],
)
def test_init_from_another_model_is_refused(
    tmp_path: Path, objective: Objective, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "model.pt"
    torch.save(tiny_model(ListNet(learn_tau=True)).state_dict(), path)
    with pytest.raises(ModelError, match=rf"model\.pt: weights of another model: {message}; use the config"):
        tiny_model(objective, init_from=str(path), **options)
    with pytest.raises(ModelError, match=r"nowhere\.pt: no such weights file"):
        tiny_model(objective, init_from=str(tmp_path / "nowhere.pt"), **options)
