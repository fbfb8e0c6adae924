"""What a trainer gets besides what the config names: loggers, callbacks, plugins, the checkpoint to evaluate."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor

from cli.callback_checks import as_list
from cli.run_setup import CODE
from common.errors import RunError
from experiments.callbacks.against_baseline import BaselineTest
from experiments.callbacks.atomic_checkpoint_io import AtomicCheckpointIO
from experiments.callbacks.checkpoints import RunCheckpoint
from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.callbacks.pictures import Pictures
from experiments.callbacks.result_writer import RunWriter
from experiments.callbacks.resumed_callbacks import ResumedCallbacks
from experiments.callbacks.weight_averaging import AveragedWeights
from experiments.loggers.csv_logger import MetricsLogger
from experiments.loggers.wandb_logger import wandb_logger
from experiments.results.embeddings_file import audio_weights_sha256
from experiments.results.experiment import Experiment
from experiments.results.human_judgements import HumanJudgements
from experiments.run_folder import RunFolder, RunOptions
from lightning_modules.pairs import Pair

log = logging.getLogger(__name__)


def wants_wandb(run: RunOptions, subcommand: str) -> bool:
    """Whether figures go to Weights & Biases; an agent of a sweep there waits for them."""
    return bool(run.wandb or os.environ.get("WANDB_SWEEP_ID")) and subcommand != "predict"


def loggers_of(run: RunOptions, folder: RunFolder, subcommand: str, configured: Any, *, resume: bool) -> list[Logger]:
    """The run folder's own logger, that of Weights & Biases where it is wanted, and those of the config.

    Args:
        run: options of the run.
        folder: of the run.
        subcommand: of train.py.
        configured: `trainer.logger`: a logger, a list, or a switch, which counts for nothing here.
        resume: whether the run is continued.
    """
    file_name = "metrics.csv" if subcommand == "fit" else f"metrics_{subcommand}.csv"
    loggers: list[Logger] = [MetricsLogger(folder.path, file_name, resume=resume)]
    if wants_wandb(run, subcommand):
        loggers.append(wandb_logger(run.wandb_project, folder, subcommand, resume=resume))
    if isinstance(configured, list):
        return loggers + configured
    return loggers if configured in (None, True, False) else [*loggers, configured]


def callbacks_of(
    run: RunOptions,
    folder: RunFolder,
    seed: int,
    judgements: Sequence[HumanJudgements],
    baseline: Experiment | None,
    *,
    resume: bool,
) -> list[Callback]:
    """The callbacks that keep checkpoints and write results, and those that complete Lightning's own.

    Args:
        run: options of the run.
        folder: of the run.
        seed: of the run.
        judgements: human judgements of the evaluated splits.
        baseline: that a test is compared with.
        resume: whether the run is continued.
    """
    return [
        AveragedWeights(),
        ResumedCallbacks(),
        RunCheckpoint(folder.checkpoints, run.monitor, run.monitor_mode, run.save_minutes),
        RunWriter(folder, CODE, seed, resume=resume, overwrite=run.overwrite, judgements=judgements),
        Pictures(folder),
        *([BaselineTest(folder, baseline)] if baseline else []),
    ]


def with_atomic_checkpoints(plugins: Any) -> list[Any]:
    """The config's `trainer.plugins` and, where none of them writes checkpoints, one that writes them whole."""
    listed = as_list(plugins)
    return listed if any(isinstance(plugin, CheckpointIO) for plugin in listed) else [*listed, AtomicCheckpointIO()]


def best_or_last(folder: RunFolder) -> Path:
    """The checkpoint of a run that is evaluated: the best one, or the last where no validation came before the end.

    Raises:
        RunError: there is neither.
    """
    if folder.best.is_file():
        return folder.best
    if folder.last.is_file():
        log.warning("%s: training ended before a validation, so the last checkpoint is taken", folder.path)
        return folder.last
    raise RunError(f"{folder.best}: no such checkpoint; run `fit` with the same configs first, or give --ckpt_path")


def checkpoint_to_evaluate(folder: RunFolder, pair: Pair | None) -> str | None:
    """The checkpoint that is evaluated; None where a pretrained pair was not trained here, which is evaluated as it is.

    Raises:
        RunError: there is no checkpoint, and no pair.
    """
    untrained = not folder.best.is_file() and not folder.last.is_file()
    return None if pair is not None and untrained else str(best_or_last(folder))


def embedding_writer(
    run: RunOptions, folder: RunFolder, checkpoint: str, weights: Mapping[str, Tensor], audio_encoder: Mapping[str, Any]
) -> EmbeddingWriter:
    """The callback that writes what `predict` embeds, with what tells whether an earlier file is of the same model.

    Args:
        run: options of the run.
        folder: of the run.
        checkpoint: that is predicted with.
        weights: in it.
        audio_encoder: settings of the encoder.
    """
    facts = {
        "checkpoint": checkpoint,
        "audio_weights_sha256": audio_weights_sha256(weights),
        "audio_encoder": json.dumps(audio_encoder, sort_keys=True),
    }
    return EmbeddingWriter(Path(run.embeddings or folder.embeddings), facts, overwrite=run.overwrite)
