"""Settings that the parser lets through and a run should not begin with."""

import inspect
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace  # type: ignore[attr-defined]

from common.class_defaults import class_named, with_later_settings
from common.directions import DIRECTIONS
from common.errors import RunError
from common.settings import differing_settings
from common.text import nearest_name
from evaluation.query_metric import GRADED, check_metrics
from evaluation.ranking import retrieval_metrics
from evaluation.scores import MatrixScores
from experiments.run_folder import LONGEST_NAME
from experiments.saved_config import read_saved_config
from lightning_modules.model_class import model_class
from lightning_modules.training.schedules import Schedule

log = logging.getLogger(__name__)

MAY_CHANGE = (
    *("data.init_args.root", "data.init_args.packed", "data.init_args.shards", "data.init_args.num_workers"),
    "model.init_from",
)
"""Beginnings of the keys that may change when a run is resumed, besides those of `trainer` and `run`."""
DISTRIBUTIONS = {"MixedTargets": "has omegas of its own", "SmoothedTargets": "gives shares of the target already"}
"""Kinds of relevance whose rows sum to 1, and why they want no softmax."""


def apply_sentence_bert(options: Any) -> None:
    """Give `sentence_bert` to every relevance that has a `model`, those inside others too.

    Raises:
        RunError: one was given another model already.
    """
    wanted = options.sentence_bert
    for part in classes_in(options.model.relevance) if wanted else ():
        arguments = part.get("init_args") or {}
        if "model" not in arguments:
            continue
        part_class = class_named(part["class_path"])
        default = inspect.signature(part_class).parameters["model"].default
        if arguments["model"] not in (default, wanted):
            raise RunError(
                f"the config gives {part_class.__name__} the model '{arguments['model']}', but sentence_bert is "
                f"'{wanted}': give one of them (--sentence_bert null leaves the choice to the relevance)"
            )
        arguments["model"] = wanted


def make_room_for_pair(model: Any) -> None:
    """Take out encoders and matcher, the defaults among them, where a pretrained pair brings its own."""
    if model.get("pair") is not None:
        model.audio_encoder = model.text_encoder = model.matcher = None


def check_synchronised(trainer: Any, model: torch.nn.Module, wanted: bool) -> None:
    """Refuse `trainer.sync_batchnorm` where PyTorch has no code for it.

    Raises:
        RunError: several processes without a GPU are to train a model with batch normalisation.
    """
    device = trainer.strategy.root_device.type
    norms = any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in model.modules())
    if wanted and norms and trainer.world_size > 1 and device == "cpu":
        raise RunError(
            "trainer.sync_batchnorm is true, but PyTorch synchronises batch normalisations on GPUs only; leave it out, "
            "or train with one process (trainer.devices 1)"
        )


def check_processes(trainer: Any) -> None:
    """Whether the devices of a trainer, where they are CPUs, are not many more processes than there are cores.

    Raises:
        RunError: they are.
    """
    most = max(16, os.cpu_count() or 1)
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > most:
        raise RunError(
            f"trainer.devices is {trainer.num_devices}: without a GPU these are as many processes on "
            f"{os.cpu_count()} CPU cores; give at most {most}"
        )


def check_mixed_targets(options: Any) -> None:
    """Whether targets that are distributions already are taken as they are.

    Raises:
        RunError: the objective would put them through another softmax.
    """
    kind = options.model.relevance.class_path.rpartition(".")[2]
    omega = (options.model.objective.get("init_args") or {}).get("omega")
    if kind in DISTRIBUTIONS and omega is not None:
        raise RunError(f"model.objective.omega is {omega}: with {kind}, which {DISTRIBUTIONS[kind]}, give null")


def check_precision(precision: Any) -> None:
    """Whether weights stay in float32: spectrograms and losses are computed in it, and small updates would be lost.

    Raises:
        RunError: they would be put into half precision.
    """
    if precision in ("bf16-true", "16-true", "transformer-engine", "transformer-engine-float16"):
        mixed = "16-mixed" if precision == "16-true" else "bf16-mixed"
        raise RunError(
            f"trainer.precision is {precision}, which puts weights and spectrograms into half precision; give {mixed}, "
            "which computes the encoders in it and all else in float32"
        )


def check_evaluates(subcommand: str, trainer: Any) -> None:
    """Whether a subcommand that only evaluates has any batch to do so.

    Raises:
        RunError: the trainer's limit of them is 0.
    """
    key = {"validate": "limit_val_batches", "test": "limit_test_batches", "predict": "limit_predict_batches"}
    if (limit := key.get(subcommand)) and trainer[limit] == 0:
        raise RunError(f"trainer.{limit} is 0, so `{subcommand}` would do nothing; leave it out")


def check_monitor(options: Any) -> None:
    """Whether a value of the name that `run.monitor` gives is logged in validation.

    Raises:
        RunError: it is not; the message names the nearest one, and all.
        RelevanceError: the name of a metric of one's own is taken.
    """
    monitor = options.run.monitor
    listed = options.model.get("metrics") or []
    own = [class_named(part.class_path)(**(part.get("init_args") or Namespace()).as_dict()) for part in listed]
    check_metrics(own)  # metrics are cheap to build: the model is built later, and may be large
    built_in = retrieval_metrics(MatrixScores(torch.eye(2)), *2 * [torch.arange(2)]).summary()
    metrics = [*built_in, GRADED, *(metric.name for metric in own)]
    known = ["val/loss", *(f"val/{direction}/{name}" for direction in DIRECTIONS for name in metrics)]
    if monitor not in known:
        raise RunError(
            f"run.monitor is '{monitor}'{nearest_name(monitor, known)}; there are: val/loss, and val/text_to_audio/ or "
            f"val/audio_to_text/ before {', '.join(metrics)}"
        )


def check_project(project: str) -> None:
    """Whether Weights & Biases takes the name of a project.

    Raises:
        RunError: it does not.
    """
    if (wrong := set(project) & set("/\\#?%:")) or not 0 < len(project) <= LONGEST_NAME:
        what = f"without {' '.join(sorted(wrong))}" if wrong else f"of 1 to {LONGEST_NAME} characters"
        raise RunError(f"run.wandb_project is '{project}': give a name {what}")


def check_same_experiment(saved: Path, now: dict[str, Any]) -> None:
    """Whether model, data and accumulation of a run that is resumed are those it began with, by its saved config.

    Raises:
        RunError: they differ; the message names the first keys.
    """
    if not saved.is_file():
        return
    former = read_saved_config(saved)
    kinds = {"model": model_class(former.get("model_class"))}
    differing = [
        difference
        for part in ("model_class", "model", "data", "trainer")
        for difference in differing_settings(
            with_later_settings(former.get(part), now.get(part), kinds.get(part)), now.get(part), part
        )
        if not difference.startswith(MAY_CHANGE)
        and (part != "trainer" or difference.startswith("trainer.accumulate_grad_batches:"))
    ]
    if differing:
        raise RunError(
            f"{saved.parent}: cannot be resumed with other settings ({'; '.join(differing[:3])}); use the configs it "
            "began with, or another --run.experiment"
        )


def warn_of_other_schedule(saved: Path, schedule: Schedule, epochs: int | None) -> None:
    """Say so where a resumed run, by its saved config, began with a schedule over another number of epochs.

    Args:
        saved: config of the run.
        schedule: of the learning rate.
        epochs: trainer.max_epochs now; None or -1: without end.
    """
    former = (read_saved_config(saved).get("trainer") or {}).get("max_epochs") if saved.is_file() else None
    if former is None or epochs is None or min(former, epochs) < 1:
        return
    end = min(former, epochs)
    before, now = schedule(end, former), schedule(end, epochs)
    if before != now:
        log.warning(
            "%s: trainer.max_epochs is %d, was %d: the learning rate goes %s (at epoch %d %.3g of its highest, not "
            "%.3g), so the run will not end like one of %d epochs from the beginning",
            *(saved.parent, epochs, former, "up again" if now > before else "down sooner", end, now, before, epochs),
        )


def differing_encoders(saved: Path, now: dict[str, Any]) -> list[str]:
    """Settings of the encoders and heads that are not those a run was trained with, by its saved config.

    Weights may fit all the same (LoRA's alpha, the pooling of tokens), and the model is another one.
    """
    if not saved.is_file():
        return []
    former, model = read_saved_config(saved)["model"], now["model"]
    return [
        difference
        for part in ("pair", "audio_encoder", "text_encoder", "matcher", "audio_pooling", "text_pooling")
        for difference in differing_settings(
            with_later_settings(former.get(part), model.get(part)), model.get(part), f"model.{part}"
        )
    ]


def classes_in(config: Any) -> Iterator[Any]:
    """Every class of a part of a parsed config (with `class_path` and perhaps `init_args`), those inside others too."""
    if isinstance(config, list):
        for item in config:
            yield from classes_in(item)
    elif hasattr(config, "get") and config.get("class_path"):
        yield config
        for value in vars(config.get("init_args") or Namespace()).values():
            yield from classes_in(value)
