"""`audio-relevance COMMAND` and `python -m cli COMMAND`; train.py is the same with the commands that train."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cli.command import Command
from cli.errors import exit_code_of
from common.text import nearest_name

TRAINING = ("fit", "validate", "test", "predict")
COMMANDS = (
    "analyse",
    "compare",
    "calibrate",
    "composed",
    "curve",
    "download",
    "export",
    "extract",
    "forgetting",
    "fuse",
    "import-features",
    "leaks",
    "moments",
    "neighbours",
    "pack",
    "rank-agreement",
    "rerank",
    "search",
    "submit",
    "sweep",
    "twins",
)
"""Each is the class of its name, in camel case, in the module of its name in cli/commands/."""


class OneLineErrors(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and leave with exit code 2."""
        self.exit(2, f"error: {' '.join(message.split())}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of `audio-relevance`; the exit code."""
    return dispatch("audio-relevance", (*TRAINING, *COMMANDS), arguments)


def train(arguments: Sequence[str] | None = None) -> int:
    """Run a command of `python train.py`; the exit code."""
    return dispatch("python train.py", TRAINING, arguments)


def dispatch(program: str, names: Sequence[str], arguments: Sequence[str] | None) -> int:
    """Run the command that the arguments name, one of `names`.

    Args:
        program: as the user called it, for the help.
        names: of the commands.
        arguments: without the program's name; None: those of the process, which ranks of a training are started with.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # classes of one's own are found in the working directory
    if not given or given[0] not in names:
        return _help(program, names, given)
    command = load_command(given[0])
    parser = OneLineErrors(
        prog=f"{program} {command.name}",
        description=command.description or command.summary,
        epilog=command.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if command.has_own_parser:
        options = argparse.Namespace(arguments=given[1:], from_process=arguments is None)
    else:
        split = given.index("--") if command.has_rest and "--" in given else len(given)
        command.add_arguments(parser)
        parser.set_defaults(refuse=parser.error)
        parse = parser.parse_intermixed_args if command.intermixed else parser.parse_args
        options = parse(given[1:split])
        if command.has_rest:
            options.rest = given[split + 1 :]
    return exit_code_of(lambda: command.run(options), command.interrupted)


def load_command(name: str) -> Command:
    """The command of a name."""
    module = "training" if name in TRAINING else name.replace("-", "_")
    class_name = "".join(map(str.capitalize, name.split("-")))
    command: Command = getattr(importlib.import_module(f"cli.commands.{module}"), class_name)()
    return command


def _help(program: str, names: Sequence[str], given: Sequence[str]) -> int:
    """Print the list of commands, or refuse a name that is none of them."""
    width = max(map(len, names)) + 2
    listed = "\n".join(f"  {name:<{width}}{load_command(name).summary}" for name in names)
    parser = OneLineErrors(
        prog=program,
        usage=f"{program} COMMAND ...",
        description="Language-based audio retrieval with learned relevance.",
        epilog=f"commands:\n{listed}\n\n`{program} COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    if not given:
        parser.print_help()
        return 2
    if not given[0].startswith("-"):
        parser.error(f"there is no command '{given[0]}'{nearest_name(given[0], names)}")
    if parser.parse_args(given).version:
        from importlib.metadata import version

        print(version("audio-relevance"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
