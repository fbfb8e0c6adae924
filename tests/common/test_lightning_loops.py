"""Lightning's loop counters mean what `lightning_loops` takes them for: fails where a version counts otherwise."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common.lightning_loops import (
    batches_done,
    before_this_batch,
    count_finished_epochs,
    finished_epochs,
    is_last_batch,
)

BATCHES = 4  # of an epoch
pytestmark = pytest.mark.filterwarnings("ignore")


class Line(L.LightningModule):
    """One weight; notes the batches it is trained on, by their value."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[int] = []

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(torch.arange(BATCHES).float()[:, None], batch_size=1)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(torch.ones(1, 1), batch_size=1)  # type: ignore[arg-type]

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append(int(batch))
        return self.layer(batch).sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Watch(L.Callback):
    """Notes the counters after each validation, and saves the run before one batch."""

    def __init__(self, save_before: int | None = None, *, set_back: bool = True) -> None:
        self.save_before, self.set_back = save_before, set_back
        self.validated: list[tuple[int, bool]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated.append((batches_done(trainer), is_last_batch(trainer)))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == self.save_before:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            before = progress.state_dict()
            with before_this_batch(trainer) if self.set_back else nullcontext():
                trainer.save_checkpoint(Path(trainer.default_root_dir) / "saved.ckpt")
            assert progress.state_dict() == before


def fit(folder: Path, *callbacks: L.Callback, checkpoint: Path | None = None, **options: Any) -> tuple[L.Trainer, Line]:
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )
    fixed: dict[str, Any] = {"accelerator": "cpu", "num_sanity_val_steps": 0, "default_root_dir": folder}
    trainer, model = L.Trainer(callbacks=[*callbacks], **quiet, **fixed, **options), Line()
    trainer.fit(model, ckpt_path=checkpoint)
    return trainer, model


def test_batches_of_an_epoch_are_counted(tmp_path: Path) -> None:
    watch = Watch()
    trainer, _ = fit(tmp_path, watch, max_epochs=2, val_check_interval=2)
    assert watch.validated == [(2, False), (4, True)] * 2
    assert finished_epochs(trainer) == 2


def saved_progress(folder: Path) -> dict[str, Any]:
    progress: dict[str, Any] = torch.load(folder / "saved.ckpt")["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return progress


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_run_saved_before_a_batch_continues_with_that_batch(tmp_path: Path, batch: int) -> None:
    fit(tmp_path, Watch(batch), max_epochs=1)
    progress = saved_progress(tmp_path)
    assert {progress[kind][name] for kind in ("total", "current") for name in ("ready", "completed")} == {batch}
    assert not progress["is_last_batch"]
    trainer, resumed = fit(tmp_path, checkpoint=tmp_path / "saved.ckpt", max_epochs=1)
    assert len(resumed.seen) == BATCHES - batch
    assert trainer.global_step == BATCHES


def test_setting_the_counters_back_is_still_needed(tmp_path: Path) -> None:
    fit(tmp_path, Watch(3, set_back=False), max_epochs=1)
    progress = saved_progress(tmp_path)
    assert (progress["current"]["ready"], progress["current"]["completed"]) == (4, 3)
    assert progress["is_last_batch"]


class EpochSaver(L.Callback):
    """Saves the run at the end of each epoch."""

    def __init__(self, *, counted: bool) -> None:
        self.counted = counted

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self.counted:
            count_finished_epochs(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(Path(trainer.default_root_dir) / "epoch.ckpt")


@pytest.mark.parametrize(("counted", "epochs"), [(True, 2), (False, 3)])  # 3: where it is no longer needed this fails
def test_an_epoch_that_ended_is_counted_once_with_max_steps(tmp_path: Path, counted: bool, epochs: int) -> None:
    fit(tmp_path, EpochSaver(counted=counted), max_steps=BATCHES)
    saver = EpochSaver(counted=counted)
    trainer, _ = fit(tmp_path, saver, checkpoint=tmp_path / "epoch.ckpt", max_steps=2 * BATCHES)
    assert trainer.global_step == 2 * BATCHES
    assert finished_epochs(trainer) == epochs
