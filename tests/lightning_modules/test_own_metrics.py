"""Metrics of one's own in a training, and what a callback reads when an epoch ends."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest

from lightning_modules.dual_encoder import DualEncoder
from tests.support.own_metrics import ReciprocalRank
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


class Reader(L.Callback):
    """What a user's callback sees, epoch by epoch."""

    def __init__(self) -> None:
        self.read: list[dict[str, float]] = []

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DualEncoder)
        assert pl_module.evaluation is not None
        self.read.append(pl_module.evaluation.rankings["text_to_audio"].summary())

    on_test_epoch_end = on_validation_epoch_end


class Logged(Reader):
    """What was logged for the same epochs."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    on_test_end = on_validation_end

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[dict[str, float]] = []


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"limit_val_batches": 2, "limit_test_batches": 2}, {"num_sanity_val_steps": 1}]
)
def test_a_callback_reads_the_results_of_this_epoch(tmp_path: Path, options: dict[str, Any]) -> None:
    seen = Logged()
    trainer = tiny_trainer(tmp_path, max_epochs=3, callbacks=[seen], **options)
    model = tiny_model(metrics=[ReciprocalRank()], lr=0.2)
    trainer.fit(model, datamodule=TinyData(held_out=8, batch_size=3))
    trainer.test(model, datamodule=TinyData(held_out=8, batch_size=3), verbose=False)
    assert len(seen.read) == len(seen.logged) == 4 + bool("num_sanity_val_steps" in options)
    prefixes = ["val"] * (len(seen.read) - 1) + ["test"]
    for prefix, read, logged in zip(prefixes, seen.read, seen.logged, strict=True):
        assert "ReciprocalRank" in read
        for name, value in read.items():
            assert logged[f"{prefix}/text_to_audio/{name}"] == pytest.approx(value)
    assert len({read["mean_rank"] for read in seen.read}) > 1, "the model does not learn, so nothing is shown"
