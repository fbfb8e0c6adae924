"""A finished run's model."""

from argparse import ArgumentError
from typing import Any

import yaml
from lightning.pytorch.cli import LightningArgumentParser

from common.errors import RunError, UserError
from common.text import one_line
from experiments.run_folder import RunFolder
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.weights import load_weights


def read_config(folder: RunFolder) -> dict[str, Any]:
    """The settings a run was made with.

    Raises:
        RunError: they cannot be read.
    """
    path = folder.path / "config_fit.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not YAML ({one_line(error)[:200]}); repeat the run") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise RunError(f"{path}: no settings of a model in it; give the folder of a run of `python train.py fit`")
    return config


def load_model(folder: RunFolder, config: dict[str, Any]) -> DualEncoder:
    """A run's model with its best weights, in evaluation mode, on the CPU.

    Raises:
        RunError: it cannot be built.
        ModelError: the weights cannot be read or do not fit.
    """
    model: DualEncoder = built(DualEncoder, {**config["model"], "init_from": None}, subclass=False)
    load_weights(model, folder.best)
    return model.eval()


def built(kind: type, settings: Any, *, subclass: bool) -> Any:
    """What a part of a saved config describes: a `kind` by its arguments, or a subclass by its path.

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
        raise RunError(f"the run's config cannot be built: {type(error).__name__}: {one_line(error)}") from error
