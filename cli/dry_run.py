"""A command line of train.py, parsed and not run."""

import contextlib
import io
import warnings
from typing import Any

from cli.lightning_cli import RetrievalCLI
from cli.run_setup import run_folder_of
from common.errors import RunError
from experiments.run_folder import RunFolder


class SettingsOnly(RetrievalCLI):
    """Parses a command line, and stops there: `folder` and `config` say what would have been run."""

    def _set_seed(self) -> None:
        """Nothing."""

    def before_instantiate_classes(self) -> None:
        """Name the run."""
        self.folder = run_folder_of(self._options)

    def instantiate_classes(self) -> None:
        """Nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""


def planned_run(arguments: list[str]) -> RunFolder:
    """The run folder that arguments of train.py lead to.

    Raises:
        RunError: train.py would refuse them.
    """
    return _planned(arguments).folder


def planned_settings(arguments: list[str]) -> dict[str, Any]:
    """The settings that arguments of train.py lead to, of its command.

    Raises:
        RunError: train.py would refuse them.
    """
    settings: dict[str, Any] = _planned(arguments).config[arguments[0]].as_dict()
    return settings


def _planned(arguments: list[str]) -> SettingsOnly:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning's, of arguments that are not this process's own
            return SettingsOnly(arguments)
    except SystemExit as error:
        raise RunError(said.getvalue().strip().removeprefix("error: ")) from error
