"""Lightning's callbacks and numbers that a run cannot have: refused in one line, before anything is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    BatchSizeFinder,
    Callback,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.callbacks.spike import SpikeDetection
from lightning_utilities.core.enums import StrEnum

from common.class_defaults import class_named
from common.errors import RunError
from common.numbers import check_numbers
from common.settings import differing_settings
from experiments.saved_config import read_saved_config

REFUSED: dict[type[Callback], str] = {
    StochasticWeightAveraging: "averages only when training is over, so that no validation and no best.ckpt would hold "
    "its weights; take EMAWeightAveraging, whose averages are validated",
    ModelPruning: "prunes after an epoch's validation, so that best.ckpt would hold weights that no validation saw; "
    "leave it out, prune a finished checkpoint (torch.nn.utils.prune) and give it to `test` as --ckpt_path",
    LearningRateFinder: "sets a learning rate that model.schedule would replace; leave it out, and compare values of "
    "model.optimizer.lr with sweep.py (configs/sweeps/learning_rate.yaml)",
    BatchSizeFinder: "changes data.batch_size, and with it the items that a query is ranked against; leave it out, and "
    "set data.batch_size (model.chunk makes room for larger batches)",
    BackboneFinetuning: "unfreezes `model.backbone`, which a DualEncoder does not have; take trained_layers of an "
    "encoder, or a BaseFinetuning of your own that names audio_encoder or text_encoder",
}
# The default of `Timer.interval` is one, which YAML cannot write.
yaml.SafeDumper.add_multi_representer(StrEnum, lambda dumper, value: dumper.represent_str(value.value))
TRAINING = (WeightAveraging, BaseFinetuning, GradientAccumulationScheduler)
"""Callbacks that change what a step does: a run is resumed with those it began with."""


def as_list(value: Any) -> list[Any]:
    """What a config gives as a list, as one thing, or not at all.

    >>> as_list("Timer"), as_list(None)
    (['Timer'], [])
    """
    return value if isinstance(value, list) else [value] if value else []


def check_callbacks(callbacks: Sequence[Callback], trainer: Any, cache_frozen: bool) -> None:
    """Whether `fit` can have these callbacks.

    Args:
        callbacks: of the config.
        trainer: its settings.
        cache_frozen: whether frozen encoders are looked up in tables.

    Raises:
        RunError: it cannot; the message names the callback, the cause and what to do.
    """
    for callback in callbacks:
        name = type(callback).__name__
        for kind, why in REFUSED.items():
            if isinstance(callback, kind):
                raise RunError(f"trainer.callbacks: {name} {why}")
        if isinstance(callback, WeightAveraging) and _averages_at_an_epochs_end(callback):
            raise RunError(
                f"trainer.callbacks: {name} averages after an epoch's validation, so that best.ckpt would hold weights "
                "that no validation saw; average at steps (update_starting_at_step, update_every_n_steps)"
            )
        if isinstance(callback, BaseFinetuning) and cache_frozen:
            raise RunError(
                f"trainer.callbacks: {name} unfreezes encoders that model.cache_frozen looks up in a table; leave one "
                "of them out"
            )
        if isinstance(callback, GradientAccumulationScheduler) and trainer.accumulate_grad_batches != 1:
            raise RunError(
                f"trainer.callbacks: {name} sets what trainer.accumulate_grad_batches "
                f"({trainer.accumulate_grad_batches}) sets too; leave one of them out"
            )
    averaging = [type(callback).__name__ for callback in callbacks if isinstance(callback, WeightAveraging)]
    if len(averaging) > 1:
        raise RunError(f"trainer.callbacks: {' and '.join(averaging)} both average weights; leave one of them out")


def _averages_at_an_epochs_end(callback: WeightAveraging) -> bool:
    if isinstance(callback, EMAWeightAveraging):
        return callback.update_starting_at_epoch is not None
    return any(callback.should_update(epoch_idx=epoch) for epoch in range(1000))


def check_same_callbacks(saved: Path, callbacks: Any) -> None:
    """Whether a run that is resumed has the callbacks that change its steps which it began with, by its saved config.

    Args:
        saved: config of the run.
        callbacks: of the config now, as plain values.

    Raises:
        RunError: it has others, or other settings of theirs.
    """
    if not saved.is_file():
        return
    former = (read_saved_config(saved).get("trainer") or {}).get("callbacks")
    differing = differing_settings(_training(former), _training(callbacks), "trainer.callbacks")
    if differing:
        raise RunError(
            f"{saved.parent}: cannot be resumed with other callbacks ({'; '.join(differing[:3])}); use the configs it "
            "began with, or another --run.experiment"
        )


def _training(callbacks: Any) -> dict[str, Any]:
    """Settings of those callbacks that change what a step does, by class."""
    classes = [(class_named(one["class_path"]), one.get("init_args") or {}) for one in as_list(callbacks)]
    return {kind.__name__: settings for kind, settings in classes if issubclass(kind, TRAINING)}


def adapt_spike_detection(callbacks: Sequence[Callback], folder: Path) -> None:
    """Let `SpikeDetection` write into the run folder; and load its state, which Lightning 2.6 asks of another name."""
    for callback in callbacks:
        if isinstance(callback, SpikeDetection):
            callback.exclude_batches_path = str(callback.exclude_batches_path or folder / "skip_batches.json")
            callback.running = callback.running_mean  # type: ignore[attr-defined]


def check_trainer_numbers(trainer: Any) -> None:
    """Whether the trainer's numbers, which Lightning itself takes as they are, are in range.

    Raises:
        RunError: one is not; the message names it and the range.
    """
    check_numbers(RunError, "trainer", 1, accumulate_grad_batches=trainer.accumulate_grad_batches)
    check_numbers(RunError, "trainer", 1, check_val_every_n_epoch=trainer.check_val_every_n_epoch)
    check_numbers(RunError, "trainer", 0, log_every_n_steps=trainer.log_every_n_steps)
    check_numbers(RunError, "trainer", 0, gradient_clip_val=trainer.gradient_clip_val)
    check_numbers(RunError, "trainer", -1, num_sanity_val_steps=trainer.num_sanity_val_steps)
    if trainer.val_check_interval == 0:
        raise RunError("trainer.val_check_interval is 0; give batches from 1, a share of an epoch above 0, or a time")
    check_numbers(RunError, "trainer", -1, max_epochs=trainer.max_epochs, max_steps=trainer.max_steps)
