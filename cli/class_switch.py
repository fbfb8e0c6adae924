"""A patch of jsonargparse: when another class is chosen, the former one's own settings are forgotten.

jsonargparse keeps those that the new class has under the same name, defaults among them: the direction of ListNet would
become that of InfoNCE, and the folder of Clotho that of AudioCaps. Only settings that both classes have from one base,
such as the batch size of all data sets, mean the same in both, and are kept.
It has no setting for this, so one function is replaced.
Written for jsonargparse 4.53; a test fails when the function is no longer the one that decides, or no longer needed.
"""

import inspect
from typing import Any

import jsonargparse
import jsonargparse._typehints

from common.class_defaults import class_named

NAME = "discard_init_args_on_class_path_change"
original: Any = getattr(jsonargparse._typehints, NAME, None)


def forget_former_settings(parser: Any, former: Any, chosen: Any) -> None:
    """Forget a class's own settings when a config or flag chooses another; keep those of a base that both have."""
    if not former or "init_args" not in former:
        return
    if former["class_path"] is None:  # plain settings, of a dataclass that a config gives without its name
        original(parser, former, chosen)
        return
    before, after = class_named(former["class_path"]), class_named(chosen["class_path"])
    if before is after:
        return
    for name in list(vars(former["init_args"])):
        base = declaring(before, name)
        if base is None or base is not declaring(after, name):
            former["init_args"].pop(name)
    original(parser, former, chosen)  # forgets what the new class does not let through to its base
    if not vars(former["init_args"]):
        former.pop("init_args")


def declaring(kind: Any, name: str) -> type | None:
    """The class, of one and its bases, whose own `__init__` names a parameter; None where there is none."""
    own = (base for base in getattr(kind, "__mro__", ()) if "__init__" in vars(base))
    return next((base for base in own if name in inspect.signature(base.__init__).parameters), None)


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
