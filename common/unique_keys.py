"""JSON and YAML in which a key that is given twice is a mistake: the usual parsers keep the last and drop the first.

In YAML numbers that do not mean what they look like are mistakes too.
"""

import json
import re
from typing import Any

import yaml

from common.text import cause_of

OTHER_BASE = re.compile(r"[-+]?(0[0-7_]*[0-7]|[1-9][0-9_]*(:[0-5]?[0-9])+)")
"""What YAML 1.1 takes for a whole number to the base 8 or 60, such as 010 and 1:30."""


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
        ValueError: it is no YAML, is nested too deeply, or holds a number that YAML reads to the base 8 or 60.
        KeyGivenTwiceError: a table has a key twice.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # the same, ten times as fast
    try:
        node = loader.get_single_node()
        _check(node, set())
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


def _check(node: Any, visited: set[int]) -> None:
    """Visits a node once, however many aliases refer to it."""
    if id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") and OTHER_BASE.fullmatch(node.value):
        line, meant = node.start_mark.line + 1, yaml.safe_load(node.value)
        raise ValueError(
            f"line {line}: {node.value} is {meant} to YAML; write {meant}, or '{node.value}' in quotes for a text"
        )
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, visited)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise KeyGivenTwiceError(f"the key {name} twice (again in line {key.start_mark.line + 1})")
            seen.add(name)
            _check(value, visited)
