"""A patch of jsonargparse: when another class is chosen, the settings of the former one are forgotten.

jsonargparse keeps those that the new class has under the same name, defaults among them: the direction of ListNet would
become that of InfoNCE, and PaSST's size that of a small CNN. It has no setting for this, so one function is replaced.
Written for jsonargparse 4.53; a test fails when the function is no longer the one that decides, or no longer needed.
"""

import importlib
from typing import Any

import jsonargparse
import jsonargparse._typehints

NAME = "discard_init_args_on_class_path_change"
ORIGINAL: Any = getattr(jsonargparse._typehints, NAME, None)
original = getattr(jsonargparse._typehints, NAME, None)


def forget_former_settings(parser: Any, former: Any, chosen: Any) -> None:
    """Forget the settings of a class when a config or flag chooses another class instead."""
    if former and "init_args" in former and class_named(former["class_path"]) is not class_named(chosen["class_path"]):
        former.pop("init_args")


def class_named(path: str) -> Any:
    """The class of a dotted path; one class can be reached by several."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def install() -> None:
    """Replace the function.

    Raises:
        ImportError: this version of jsonargparse has no function of that name.
    """
    if not hasattr(jsonargparse._typehints, NAME):
        raise ImportError(
            f"jsonargparse {jsonargparse.__version__} has no {NAME}, which class_switch.py replaces; install 4.53"
        )
    setattr(jsonargparse._typehints, NAME, forget_former_settings)


install()
