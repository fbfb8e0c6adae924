"""What jsonargparse says of a wrong value, in one plain line."""

import re

_NOISE = re.compile(
    r"Does not validate against|Subtypes: |Errors:$|Given value type: |Subclass types expect|a class path \(str\)"
    r"|a dict "
    r"|Expected a path but .* (not accessible|invalid)|Not a valid subclass of"
)
_KEY = re.compile(r'Parser key "([^"]+)":?')
_EXPECTED = re.compile(r"Expected an? (.+?)(?:\. Got value: (.*))?$")
_GIVEN = re.compile(r"Given value: (.*)")
_NO_CLASS = re.compile(r"Expected a dot import path string: (.*)")
_TYPES = {"NoneType": "null", "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}


def plain(message: str) -> str:
    """A message in one line: the key, what is wrong or what was expected, and the value.

    >>> plain('Parser key "batch_size":\\\\n  Expected a <class \\'int\\'>. Got value: x'.replace("\\\\n", chr(10)))
    'batch_size: expected a whole number, got x'
    """
    key = value = no_class = None
    causes: list[str] = []
    wanted: list[str] = []
    for line in (line.strip(" -") for line in message.splitlines()):
        if found := _KEY.match(line):
            key = key or found[1]
            line = line[found.end() :].strip()
        if not line or _NOISE.match(line):
            continue
        if found := _GIVEN.match(line):
            value = found[1]
        elif found := _NO_CLASS.match(line):
            no_class = found[1]
        elif found := _EXPECTED.match(line):
            wanted += _types(found[1])
            value = value or found[2]
        else:
            causes.append(line)
    if no_class is not None and not causes and not set(wanted) - {"null", "a list"}:
        causes = [f"there is no class '{no_class}' that can stand here"]
    elif not causes and wanted:
        causes = [f"expected {' or '.join(dict.fromkeys(wanted))}, got {_short(value)}"]
    essence = re.sub(r":;", ":", "; ".join(dict.fromkeys(causes)))
    return f"{key}: {essence}" if key else essence


def _types(text: str) -> list[str]:
    """Names of the types in "<class 'float'>", "typing.Literal['a', 'b']" and the like."""
    if found := re.fullmatch(r"typing\.Literal\[(.*)\]", text):
        return [found[1]]
    name = text.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]
    return [_TYPES.get(name, f"a {name}")]


def _short(value: str | None) -> str:
    return "another value" if value is None else value if len(value) <= 80 else f"{value[:80]}..."
