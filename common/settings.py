"""Nested settings: look one up by a dotted key, list the differences of two, fill in a template."""

import re
from typing import Any


def differing_settings(former: Any, now: Any, key: str = "") -> list[str]:
    """Keys at which two configs differ, with both values.

    >>> differing_settings({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    ['a.c: 2 before, 3 now']
    """
    if isinstance(former, dict) and isinstance(now, dict):
        return [
            difference
            for name in {**former, **now}
            for difference in differing_settings(former.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if former == now else [f"{key}: {former} before, {now} now"]


def setting_at(config: Any, key: str) -> Any:
    """The setting of a parsed config at a dotted key, `init_args` left out as on the command line.

    Raises:
        KeyError: there is none.

    >>> setting_at({"model": {"class_path": "a.B", "init_args": {"tau": 0.1}}}, "model.tau")
    0.1
    """
    for name in key.split("."):
        inside = config.get("init_args") if hasattr(config, "get") and name not in config else None
        config = (config if inside is None else inside)[name]
    return config


def filled_in(template: str, config: Any) -> str:
    """A run's name with each `{key}` replaced by the setting at that key; of a class its name.

    Raises:
        KeyError: there is no such setting.

    >>> filled_in("tau={model.tau}", {"model": {"class_path": "a.B", "init_args": {"tau": 0.1}}})
    'tau=0.1'
    >>> filled_in("of {model}", {"model": {"class_path": "a.B"}})
    'of B'
    """

    def value_of(match: re.Match[str]) -> str:
        try:
            value = setting_at(config, match[1])
        except KeyError as error:
            raise KeyError(match[1]) from error
        if hasattr(value, "get") and value.get("class_path"):
            value = value["class_path"].rpartition(".")[2]
        return str(value).replace("/", "_")

    return re.sub(r"\{([\w.]+)\}", value_of, template)
