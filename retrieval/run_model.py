"""A finished run's model."""

from argparse import ArgumentError
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from common.errors import RunError, UserError
from common.text import one_line
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
