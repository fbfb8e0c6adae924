"""`audio-relevance curve`: metrics of finished runs against a number in which they differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cli.command import Command


class Curve(Command):
    """Draw metrics against a setting."""

    name = "curve"
    summary = "draw metrics of finished runs against a number that differs between them"
    description = """\
Draw what a number does, such as the share of the training data, a temperature or a learning rate: the mean of
each metric over the runs of one value, and their standard deviation. A folder is an experiment's, with all
its seeds, or one run's. The number is read from the runs' saved configs."""
    epilog = """\
example:
  $ audio-relevance curve runs/oncescu2021_figure1c_* --by data.train_fraction --output share.png
  text to audio
    data.train_fraction   runs          R@1         R@10
    0.1                      3    2.2 ± 1.5   20.7 ± 4.9
    0.5                      3    4.4 ± 1.7   38.1 ± 5.9
    1                        3   10.1 ± 1.8   55.2 ± 3.1
  ...
  figure: share.png"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path, help="of an experiment or a run")
        parser.add_argument("--by", required=True, metavar="KEY", help="the setting, as on train.py's command line")
        parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="figure to write: png, pdf, svg")
        parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")
        parser.add_argument(
            "--metrics",
            nargs="+",
            default=["R@1", "R@10"],
            metavar="METRIC",
            help="to draw: R@1 for both directions, audio_to_text/hit@1 for one; default: R@1 R@10",
        )

    def run(self, options: argparse.Namespace) -> None:
        """Read the runs, print the table, draw."""
        from rich.console import Console

        from common.atomic_files import check_writable, replacing
        from common.directions import DIRECTIONS
        from experiments.comparison.by_setting import other_differences, read_by_setting
        from experiments.comparison.report import say
        from experiments.comparison.summaries import metrics_named
        from experiments.comparison.tables import pools_text, runs_text, screen_tables
        from experiments.figures.by_setting import draw_by_setting
        from experiments.figures.style import save_figure

        if options.output.suffix not in (".png", ".pdf", ".svg"):
            options.refuse(f"--output {options.output}: give a file that ends in .png, .pdf or .svg")
        check_writable(options.output)
        by_number = read_by_setting(options.folders, options.by, options.split)
        experiments = list(by_number.values())
        named = metrics_named(experiments, options.metrics)
        metrics = [metric for direction in DIRECTIONS for metric in named if metric.direction == direction]
        if different := other_differences(experiments, options.by):
            print(f"warning: {different}", file=sys.stderr)
        console = Console(highlight=False, width=200)
        say(console, pools_text(experiments[0], options.split))
        for table in screen_tables(experiments, metrics, options.by):
            console.print(table)
        say(console, runs_text(experiments, metrics))
        with replacing(options.output) as file:
            save_figure(draw_by_setting(by_number, metrics, options.by), file)
        print(f"figure: {options.output}")
