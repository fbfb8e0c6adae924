"""Settings that a saved config does not name, as they came later: they count as what the class takes without them."""

import importlib
import inspect
from typing import Any


def class_named(path: str) -> Any:
    """The class of a dotted path; one class can be reached by several.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such class.
    """
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def defaults_of(kind: Any) -> dict[str, Any]:
    """The defaults of a class's parameters, with those of its bases as far as `**kwargs` reach them.

    >>> class Base:
    ...     def __init__(self, a: int = 1, b: int = 2) -> None: ...
    >>> class Own(Base):
    ...     def __init__(self, b: int = 3, **kwargs: int) -> None: ...
    >>> defaults_of(Own)
    {'a': 1, 'b': 3}
    """
    return {name: each.default for name, each in parameters_of(kind).items() if each.default is not each.empty}


def parameters_of(kind: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class by name, with those of its bases as far as `**kwargs` reach them."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        own = dict(list(inspect.signature(base.__init__).parameters.items())[1:])  # without self
        kinds = {each.kind for each in own.values()}
        named = {name: each for name, each in own.items() if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
        found = named | found
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return found


def with_later_settings(former: Any, now: Any, kind: Any = None) -> Any:
    """A saved config with the settings that today's has and it does not, at the defaults of their classes.

    Those of a class that cannot be imported stay as they are.

    Args:
        former: of a resolved config: a class with `class_path` and `init_args`, a dict, a list, or a plain value.
        now: the same part of today's config.
        kind: class that the settings are of, where they do not name one.
    """
    if isinstance(former, list) and isinstance(now, list) and len(former) == len(now):
        return [with_later_settings(*pair) for pair in zip(former, now, strict=True)]
    if not (isinstance(former, dict) and isinstance(now, dict)):
        return former
    path = former.get("class_path")
    if path is not None and path == now.get("class_path"):
        try:
            chosen = class_named(path)
        except (ImportError, AttributeError, ValueError):
            return former
        settings = with_later_settings(former.get("init_args") or {}, now.get("init_args") or {}, chosen)
        return {**former, "init_args": settings} if settings else former
    later = defaults_of(kind) if kind else {}
    found = {name: with_later_settings(value, now.get(name)) for name, value in former.items()}
    return found | {name: later[name] for name in now if name not in former and name in later}
