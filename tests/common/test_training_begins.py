"""Lightning's loop counters mean what `begins_at` takes them for: fails where a version counts otherwise."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common.lightning_loops import begins_at

BATCHES = 4  # of an epoch


class Counted(L.LightningModule):
    """Notes what `begins_at` says when Lightning asks for a training loader; saves itself after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.asked: list[tuple[int, int]] = []

    def train_dataloader(self) -> DataLoader[Tensor]:
        self.asked.append(begins_at(self.trainer))
        return DataLoader(torch.ones(BATCHES, 1), batch_size=1)  # type: ignore[arg-type]

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.layer(batch).sum()

    def on_train_batch_end(self, *_: object) -> None:
        self.trainer.save_checkpoint(Path(self.trainer.default_root_dir) / f"{self.trainer.global_step}.ckpt")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trained(folder: Path, checkpoint: Path | None = None, **options: Any) -> Counted:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", enable_checkpointing=False, default_root_dir=folder, **quiet, **options)
    model = Counted()
    trainer.fit(model, ckpt_path=checkpoint)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("steps", "expected"), [(3, (0, 3)), (BATCHES + 1, (1, 1)), (2 * BATCHES - 1, (1, 3))])
def test_a_resumed_training_knows_how_many_batches_are_done(
    tmp_path: Path, steps: int, expected: tuple[int, int]
) -> None:
    assert trained(tmp_path, max_steps=steps).asked == [(0, 0)]
    resumed = trained(tmp_path, tmp_path / f"{steps}.ckpt", max_steps=3 * BATCHES)
    assert resumed.asked == [expected]


@pytest.mark.filterwarnings("ignore")
def test_a_new_loader_at_every_epoch_begins_at_its_first_batch(tmp_path: Path) -> None:
    model = trained(tmp_path, max_epochs=3, reload_dataloaders_every_n_epochs=1)
    assert model.asked == [(0, 0), (1, 0), (2, 0)]


def test_without_a_trainer_nothing_is_done() -> None:
    assert begins_at(None) == (0, 0)
