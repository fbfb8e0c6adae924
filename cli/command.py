"""What a command is: a class with a name, its help, its arguments and what it does."""

from __future__ import annotations

import argparse
from typing import ClassVar


class Command:
    """A command of `audio-relevance`.

    Its module imports nothing heavy at the top, since the list of commands imports every one: what takes time to import
    is imported in `run`.

    Attributes:
        name: what the user types.
        summary: one line for the list of commands.
        description: what it does, for its own help.
        epilog: an example with its real output.
        interrupted: what Ctrl-C says.
        has_rest: what follows `--` is not parsed either; it is `options.rest`.
        has_own_parser: the arguments are not parsed before `run`, which gets them as `options.arguments`.
        intermixed: options may stand between arguments.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    description: ClassVar[str] = ""
    epilog: ClassVar[str] = ""
    interrupted: ClassVar[str] = "interrupted"
    has_rest: ClassVar[bool] = False
    has_own_parser: ClassVar[bool] = False
    intermixed: ClassVar[bool] = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, options: argparse.Namespace) -> int | None:
        """Do the work; the exit code, None for 0. `options.refuse(message)` leaves with exit code 2.

        Raises:
            common.errors.UserError: the user can correct something.
        """
        raise NotImplementedError
