"""Which setting led to what a class of another package refuses."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import jsonargparse
import lightning as L

from cli.parser_messages import plain
from common.class_defaults import class_named
from common.errors import RunError, UserError
from common.text import one_line

Built = TypeVar("Built")


def _noting(class_type: type[Built], *args: Any, **kwargs: Any) -> Built:
    """An instance; an error says of which class it was to be."""
    try:
        return class_type(*args, **kwargs)
    except Exception as error:
        if not hasattr(error, NOTE):
            setattr(error, NOTE, class_type)
        raise


NOTE = "class_that_was_built"
jsonargparse.add_instantiator(_noting, object)  # after those of a parser


def unresolved(error: BaseException) -> str:
    r"""What OmegaConf says of a `${...}` in a setting, in a line.

    >>> unresolved(ValueError("KeyError raised: \"Environment variable 'A' not found\" full_key: data.root"))
    'data.root: the environment variable A is not set; set it, or give the setting a value'
    """
    text = one_line(error)
    key = re.search(r"full_key: ([\w.]+)", text)
    variable = re.search(r"Environment variable '(\w+)' not found", text)
    cause = (
        f"the environment variable {variable[1]} is not set; set it, or give the setting a value" if variable else text
    )
    return f"{key[1]}: {cause}" if key else cause


def user_error_in(error: BaseException | None) -> UserError | None:
    """What a class of this project refused, where jsonargparse has wrapped it; it names the setting and the remedy.

    >>> user_error_in(ValueError("wrapped")) is None
    True
    """
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def failed_part(error: BaseException, options: Any) -> str:
    """What a class of another package refused, after the key of the class in a parsed config."""
    if size := re.search(r"you tried to allocate (\d+) bytes", str(error)):
        return (
            f"the config cannot be built: one of its parts needs {int(size[1]) / 2**30:,.0f} GiB of memory; lower the "
            "sizes of the model, such as model.matcher.embedding_dim"
        )
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, NOTE):
        cause = cause.__cause__ or cause.__context__
    kind = getattr(cause, NOTE, None)
    if cause is None or kind is None:
        if "raised while resolving interpolation" in str(error):
            return unresolved(error)
        if "gpu backend found" in str(error):
            return "trainer.accelerator is gpu, and there is none that torch can use; leave it out, or give cpu"
        if named := trainer_setting(error, options.trainer):
            return f"trainer.{named}: {one_line(error)}"
        return f"the config cannot be built: {type(error).__name__}: {plain(str(error))}"
    key = next((key for key, path in _classes(options) if class_named(path) is kind), None)
    return f"{key or 'the config'}: {kind.__name__} cannot be built: {type(cause).__name__}: {one_line(cause)}"


def _classes(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Key and path of every class in a parsed config."""
    if isinstance(config, list):
        for item in config:
            yield from _classes(item, key)
    elif isinstance(config, jsonargparse.Namespace | dict):
        settings = config if isinstance(config, dict) else vars(config)
        if isinstance(settings.get("class_path"), str):
            yield key, settings["class_path"]
        for name, value in settings.items():
            yield from _classes(value, key if name == "init_args" else f"{key}.{name}".lstrip("."))


def check_optimizer(model: L.LightningModule, settings: Any) -> None:
    """Whether the optimiser can be made, before anything is written.

    Args:
        model: whose optimiser it is.
        settings: of the optimiser, `class_path` and `init_args`.

    Raises:
        RunError: it cannot; the message names the setting.
    """
    try:
        model.configure_optimizers()
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        arguments = (settings or {}).get("init_args") or {}
        named = [key for key, value in dict(arguments).items() if _is_named(value, str(error))]
        key = ".".join(["model.optimizer", *named[:1]])
        raise RunError(f"{key}: {one_line(error)}; give another value") from error


def trainer_setting(error: BaseException, trainer: Any) -> str | None:
    """The setting of the trainer that Lightning names first, in backticks or with an underscore; None for none.

    >>> trainer_setting(ValueError("`val_check_interval` (9) must be less"), {"val_check_interval": 9})
    'val_check_interval'
    >>> trainer_setting(ValueError("invalid value -1 for limit_val_batches, must"), {"limit_val_batches": -1})
    'limit_val_batches'
    """
    if "Early stopping conditioned on metric" in str(error):
        return "callbacks"
    known = trainer if isinstance(trainer, Mapping) else vars(trainer)
    words = re.findall(r"`(?:Trainer\()?(\w+)|([a-z]+_\w+)", str(error))
    return next((name for name in map("".join, words) if name in known), None)


def _is_named(value: Any, message: str) -> bool:
    """Whether a message ends with a value, or with one of a list."""
    values = value if isinstance(value, list | tuple) else [value]
    return any(message.rstrip(")").endswith(f": {one}") for one in values)
