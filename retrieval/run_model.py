"""A finished run's model."""

from argparse import ArgumentError
from typing import Any

import torch
from lightning.pytorch.cli import LightningArgumentParser

from common.errors import RunError, UserError
from common.text import one_line
from evaluation.embedding_pool import EmbeddingPool
from experiments.results.experiment import STAGES
from experiments.results.pool_file import read_pool
from experiments.run_folder import RunFolder
from experiments.saved_config import read_saved_config
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.model_class import model_class
from lightning_modules.weights import load_weights


def read_config(folder: RunFolder) -> dict[str, Any]:
    """The settings a run was made with.

    Raises:
        RunError: they cannot be read.
    """
    return read_saved_config(folder.config)


def data_options(config: dict[str, Any]) -> dict[str, Any]:
    """The options of a run's data module, such as `max_seconds`."""
    options: dict[str, Any] = (config.get("data") or {}).get("init_args") or {}
    return options


def load_model(folder: RunFolder, config: dict[str, Any]) -> DualEncoder:
    """A run's model with its best weights, in evaluation mode, on the CPU.

    Raises:
        RunError: it cannot be built.
        ModelError: its class cannot be found, or the weights cannot be read or do not fit.
    """
    kind = model_class(config.get("model_class"))
    settings = {**config["model"], "init_from": None}
    model: DualEncoder = built(kind, settings, subclass=False, source=str(folder.config))
    load_weights(model, folder.best)
    return model.eval()


def kept_pool(folder: RunFolder, model: DualEncoder, split: str = "test") -> EmbeddingPool:
    """What a run's evaluation of a split embedded, after a look at whether its model still embeds the same.

    Raises:
        RunError: there is none, it cannot be read, or it is of other weights.
    """
    path = folder.pool(split)
    remedy = f"run `python train.py {STAGES[split]}`"
    if not path.is_file():
        raise RunError(f"{path}: no such file; {remedy} for this run first")
    pool = read_pool(path)
    with torch.inference_mode():
        vector = model.embed_text(pool.captions[:1])[0].cpu().flatten()
    kept = pool.text[0].flatten()
    # Evaluations may run in bfloat16.
    if vector.shape != kept.shape or torch.nn.functional.cosine_similarity(vector, kept, dim=0) < 0.99:
        raise RunError(f"{path}: embedded with other weights than {folder.best}; {remedy} again")
    return pool


def built(kind: type, settings: Any, *, subclass: bool, source: str = "the run's config") -> Any:
    """What a part of a saved config describes: a `kind` by its arguments, or a subclass by its path.

    Args:
        kind: class that is built, or whose subclass is.
        settings: of it.
        subclass: whether the settings name a class.
        source: the file they are from, for the message.

    Raises:
        RunError: it cannot be built.
    """
    parser = LightningArgumentParser(parser_mode="omegaconf", exit_on_error=False)
    parser.add_lightning_class_args(kind, "part", subclass_mode=subclass)
    try:
        return parser.instantiate(parser.parse_object({"part": settings})).part
    except UserError:
        raise
    except (ArgumentError, ValueError, TypeError, RuntimeError, AttributeError, ImportError) as error:
        raise RunError(
            f"{source}: cannot be built ({type(error).__name__}: {one_line(error)}); restore it from a copy, or make "
            "it again"
        ) from error
