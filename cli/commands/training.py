"""`fit`, `validate`, `test` and `predict`: what `python train.py` runs, through LightningCLI."""

from __future__ import annotations

import argparse
import sys
from typing import ClassVar

from cli.command import Command


class Training(Command):
    """A subcommand of LightningCLI; its help lists every setting of a config."""

    has_own_parser: ClassVar[bool] = True

    def run(self, options: argparse.Namespace) -> None:
        """Train or evaluate."""
        from cli.config_files import configs_first
        from cli.lightning_cli import RetrievalCLI
        from cli.quiet import quiet

        quiet()
        arguments = configs_first([self.name, *options.arguments])
        if options.from_process:
            sys.argv[1:] = arguments  # in place: processes of other ranks are started with it
        RetrievalCLI(None if options.from_process else arguments)


class Fit(Training):
    """`fit`."""

    name = "fit"
    summary = "train a model, then test its best checkpoint"
    interrupted = "interrupted; the same command with --run.resume true continues the run"


class Validate(Training):
    """`validate`."""

    name = "validate"
    summary = "evaluate a checkpoint on the validation split"


class Test(Training):
    """`test`."""

    name = "test"
    summary = "evaluate a checkpoint on the test split"


class Predict(Training):
    """`predict`."""

    name = "predict"
    summary = "embed the recordings of a data set or a folder"
    interrupted = "interrupted; the same command continues"
