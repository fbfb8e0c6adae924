"""Command lines that are only parsed, and those that are refused."""

import pytest

from cli.__main__ import main
from cli.lightning_cli import RetrievalCLI


def parsed(*arguments: str) -> RetrievalCLI:
    """The command line with nothing instantiated or run."""
    cli = object.__new__(RetrievalCLI)
    cli.instantiate_classes = lambda: None  # type: ignore[method-assign]
    cli._run_subcommand = lambda subcommand: None  # type: ignore[method-assign]
    RetrievalCLI.__init__(cli, list(arguments))
    return cli


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistaken command ends with."""
    try:
        code = main(list(arguments))
    except SystemExit as stop:
        code = stop.code  # type: ignore[assignment]
    assert code != 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]
