"""JSON and YAML in which a key that is given twice is a mistake: the usual parsers keep the last and drop the first."""

import json
from typing import Any

import yaml

from common.text import cause_of


class KeyGivenTwiceError(ValueError):
    """A table has two entries of one key."""


def parse_json(text: str) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: it is no JSON, or is nested too deeply.
        KeyGivenTwiceError: a table has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError(cause_of(error)) from error


def parse_yaml(text: str) -> Any:
    """The content of a YAML text, of plain values alone.

    Raises:
        ValueError: it is no YAML, or is nested too deeply.
        KeyGivenTwiceError: a table has a key twice.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # the same, ten times as fast
    try:
        node = loader.get_single_node()
        _check_keys(node, set())
        return None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(cause_of(error)) from error
    finally:
        loader.dispose()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise KeyGivenTwiceError(f"the key {next(key for key in keys if keys.count(key) > 1)} twice")
    return table


def _check_keys(node: Any, visited: set[int]) -> None:
    """Visits a node once, however many aliases refer to it."""
    if id(node) in visited or not isinstance(node, yaml.SequenceNode | yaml.MappingNode):
        return
    visited.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, visited)
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        if name in seen:
            raise KeyGivenTwiceError(f"the key {name} twice (again in line {key.start_mark.line + 1})")
        seen.add(name)
        _check_keys(value, visited)
