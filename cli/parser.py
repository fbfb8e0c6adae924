"""A parser whose errors are one line."""

import inspect
import re
import sys
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

import cli.class_switch  # noqa: F401  (it patches jsonargparse)
from common.text import nearest_name

UNKNOWN_KEY = re.compile(
    r"[Uu]nrecognized arguments: --([\w.]+)"
    r"|[Oo]ption '([\w.]+)' is not accepted"
    r"|does not accept option '([\w.]+)'"
    r"|dot import path string: ([\w.]+)"
    r"|class_path '([\w.]+)'"
)
ROOMS = {"datamodules", "relevance", "lightning_modules"}
"""The packages whose classes a config may choose."""


class OneLineParser(LightningArgumentParser):
    """A parser whose errors are one line: what is wrong, and the nearest key where one was misspelt."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error in one line and leave with exit code 2."""
        self.exit(2, f"error: {self.explain(message)}\n")
        raise AssertionError("exit() returned")

    def explain(self, message: str) -> str:
        """The essence of jsonargparse's message in one line, with the nearest key or class added."""
        lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
        essence = re.sub(r":;", ":", "; ".join(dict.fromkeys(lines)))
        if match := UNKNOWN_KEY.search(message):
            key, class_name = match.group(1) or match.group(2) or match.group(3), match.group(4) or match.group(5)
            known = [name for name in self._known_names() if name[0].isupper() == bool(class_name)]
            essence += nearest_name(key or class_name.rpartition(".")[2], known)
        return essence[:900]

    def _known_names(self) -> set[str]:
        """Keys of this parser, and the names and parameters of the classes that a config can choose."""
        names = {action.dest for action in self._actions}
        for action in self._actions:
            if isinstance(action.choices, dict):  # the subcommands' parsers
                names |= {inner.dest for parser in action.choices.values() for inner in parser._actions}
        for module in [module for name, module in sys.modules.items() if name.split(".")[0] in ROOMS]:
            for name, value in inspect.getmembers(module, inspect.isclass):
                if value.__module__.split(".")[0] in ROOMS:
                    names |= {name, *inspect.signature(value.__init__).parameters} - {"self", "args", "kwargs"}
        return names
