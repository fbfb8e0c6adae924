"""The parser of commands that are about a data set: `--data Clotho --data.root ROOT`, as in a config."""

import argparse
import os
from typing import Any

from jsonargparse import DefaultHelpFormatter, Namespace  # type: ignore[attr-defined]

import cli.components  # noqa: F401  (so that --data can name them)
from cli.parser import OneLineParser


class PlainText(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):  # type: ignore[misc]
    """jsonargparse's help, with the lines of description and epilog as they are written."""


def data_parser(command: str, description: str, epilog: str, data_class: type) -> OneLineParser:
    """A parser with `--data`, any subclass of `data_class`.

    Args:
        command: its name.
        description: for its help.
        epilog: the same.
        data_class: base of the data modules that may be chosen.
    """
    parser = OneLineParser(
        prog=f"audio-relevance {command}",
        description=description,
        epilog=epilog,
        formatter_class=PlainText,
        dump_header=None,
        allow_abbrev=False,
    )
    parser.add_subclass_arguments(data_class, "data", help="the data set, as in a config", required=True)
    return parser


def built(parser: OneLineParser, options: Namespace) -> Any:
    """The classes that parsed options describe; what one of them refuses is an error of the command line."""
    try:
        return parser.instantiate(options)
    except ValueError as error:
        parser.error(str(error.__cause__ or error))  # jsonargparse wraps what a class refuses


MOST_WORKERS = max(16, 4 * (os.cpu_count() or 1))
"""Processes of a command; many more are a typing error, and would use up the memory."""


def check_range(parser: OneLineParser, options: Namespace, *names: str, low: int = 1, high: int | None = None) -> None:
    """Refuse numbers below or above a range."""
    for name in names:
        if options[name] < low:
            parser.error(f"{name} is {options[name]}; give at least {low}")
        if high is not None and options[name] > high:
            parser.error(f"{name} is {options[name]}; give at most {high:,}")
