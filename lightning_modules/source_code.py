"""The source files that a class's results depend on: its own, and those it imports of the same project."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

OURS = ("lightning_modules", "common")
"""Rooms that encoders use, which classes of other projects import too."""


def sources(modules: Iterable[str]) -> dict[str, bytes]:
    """Source by name of loaded modules and of all that they import, directly or not, of their own package or of ours.

    A module that is in no package has the files beside it for its package. What was made in a console or a notebook has
    no file, and is left out.

    >>> sorted(sources(["lightning_modules.states"]))
    ['lightning_modules.states']
    """
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in found or file is None or not file.endswith(".py"):
            continue
        found[name] = Path(file).read_bytes()
        top = name.partition(".")[0]
        for other in _imported(found[name], getattr(sys.modules[name], "__package__", None) or ""):
            is_near = other.partition(".")[0] in (top, *OURS)
            if is_near or ("." not in name and (Path(file).parent / f"{other.partition('.')[0]}.py").is_file()):
                waiting.append(other)
    return found


def _imported(source: bytes, package: str) -> Iterator[str]:
    """Names of what a module imports; some are not modules, but things in one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
