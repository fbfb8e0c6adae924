"""A parser whose errors are one line."""

import inspect
import re
import sys
from typing import Any, ClassVar, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

import cli.class_switch  # noqa: F401  (it patches jsonargparse)
from cli.option_hints import meant_options, options_of
from cli.parser_messages import plain
from common.text import nearest_name

UNKNOWN_OPTION = re.compile(
    r"[Uu]nrecognized arguments: --([\w.]+)|[Oo]ption '([\w.]+)' is not accepted|does not accept option '([\w.]+)'"
)
UNKNOWN_CLASS = re.compile(r"no class '([\w.]+)'|class_path '([\w.]+)'")
ROOMS = {"datamodules", "relevance", "lightning_modules"}
"""The packages whose classes a config may choose."""


class OneLineParser(LightningArgumentParser):
    """A parser whose errors are one line: what is wrong, and the nearest key where one was misspelt."""

    outermost: ClassVar["tuple[OneLineParser, list[str]] | None"] = None
    """The parser of the whole command line, and that line: parsers of single classes know neither."""

    def parse_args(self, args: Any = None, *positional: Any, **named: Any) -> Any:
        """Parse, and remember what was given for the messages."""
        if OneLineParser.outermost is not None:
            return super().parse_args(args, *positional, **named)
        OneLineParser.outermost = (self, list(sys.argv[1:] if args is None else args))
        try:
            return super().parse_args(args, *positional, **named)
        finally:
            OneLineParser.outermost = None

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error in one line and leave with exit code 2."""
        self.exit(2, f"error: {self.explain(message)}\n")
        raise AssertionError("exit() returned")

    def explain(self, message: str) -> str:
        """The essence of jsonargparse's message in one line, with the nearest key or class added."""
        if found := UNKNOWN_OPTION.search(message):
            key = next(filter(None, found.groups()))
            flag = self._flag_of(key)
            whole = self.outermost[0] if self.outermost else self
            others = () if flag and "." not in flag else self._known_names(classes=False)
            meant = meant_options(flag or key, options_of(whole) if flag else (), others)
            hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
            return (f"there is no option --{flag}" if flag else f"there is no setting '{key}'") + hint
        essence = plain(message)
        key, colon, rest = essence.partition(":")
        if colon and (flag := self._flag_of(key)):
            essence = f"{flag}:{rest}"
        if found := UNKNOWN_CLASS.search(essence):
            name = (found[1] or found[2]).rpartition(".")[2]
            known = self._known_names(classes=True)
            essence += "; it is a class of another kind" if name in known else nearest_name(name, known)
        return essence[:900]

    def _flag_of(self, key: str) -> str | None:
        """The flag of the command line that ends with a key, without its dashes; None where a config gave it."""
        flags = [text.partition("=")[0].lstrip("-") for text in (self.outermost[1] if self.outermost else ())]
        return key if key in flags else next((flag for flag in flags if flag.endswith(f".{key}")), None)

    def _known_names(self, *, classes: bool) -> set[str]:
        """Names of the classes that a config can choose, or else of their parameters."""
        names: set[str] = set()
        for module in [module for name, module in sys.modules.items() if name.split(".")[0] in ROOMS]:
            for name, value in inspect.getmembers(module, inspect.isclass):
                if value.__module__.split(".")[0] in ROOMS:
                    names |= {name} if classes else {*inspect.signature(value.__init__).parameters}
        return names - {"self", "args", "kwargs"}
