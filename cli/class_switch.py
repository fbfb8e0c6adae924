"""The settings of a class are forgotten when another class is chosen: a patch of jsonargparse."""

import importlib
from collections.abc import Iterator
from typing import Any

import jsonargparse._typehints
from jsonargparse import Namespace  # type: ignore[attr-defined]


def begin_anew(parser: Any, former: Any, chosen: Any) -> None:
    """Forget the settings of a class when a config or flag chooses another class in its place.

    jsonargparse itself keeps those that the new class has under the same name, defaults among them: the direction of
    ListNet would become that of InfoNCE, and PaSST's size that of a small CNN.
    """
    if former and "init_args" in former and class_named(former["class_path"]) is not class_named(chosen["class_path"]):
        former.pop("init_args")


def class_named(path: str) -> Any:
    """The class of a dotted path; one class can be reached by several."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


# It has no setting for this; a test holds that the function is still the one that decides.
jsonargparse._typehints.discard_init_args_on_class_path_change = begin_anew


def classes_in(config: Any) -> Iterator[Any]:
    """Every class of a part of a parsed config (with `class_path` and perhaps `init_args`), those inside others too."""
    if isinstance(config, list):
        for item in config:
            yield from classes_in(item)
    elif hasattr(config, "get") and config.get("class_path"):
        yield config
        for value in vars(config.get("init_args") or Namespace()).values():
            yield from classes_in(value)
