"""`audio-relevance forgetting`: what a sequence of fits keeps of what was learned."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class Forgetting(Command):
    """Print forgetting and transfer."""

    name = "forgetting"
    summary = "print how much a model forgets when it is trained on one data set after another"
    description = """\
Print the matrix of scores after each fit of a sequence, with the average, backward and forward transfer
(Lopez-Paz & Ranzato 2017) and forgetting (Chaudhry et al. 2018). The csv file has a row for each fit and data
set: `fit,data,run`, the folder of a run that was tested on that data set after that fit, or `fit,data,score`, a
fraction of 1. The first fit is on the first data set, and so on. Where there is one fit more than data sets, the
first is the model before all fits."""
    epilog = """\
example:
  $ audio-relevance forgetting sequence.csv
    after       clotho   audiocaps
   ────────────────────────────────
    zero-shot     10.0        20.0
    clotho        28.0        24.0
    audiocaps     21.0        52.0

    forgotten     +7.0

  average after the last fit: 36.5 %
  backward transfer: -7.00 points
  forgetting: +7.00 points
  forward transfer: +4.00 points"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, metavar="FILE", help="csv: fit,data,run or fit,data,score")
        parser.add_argument(
            "--metric", default="text_to_audio/mAP@10", metavar="METRIC", help="of runs; default: text_to_audio/mAP@10"
        )
        parser.add_argument("--split", choices=("test", "validation"), default="test", help="of runs; default: test")

    def run(self, options: argparse.Namespace) -> None:
        """Read the scores, and print."""
        from experiments.analyses.fit_sequence import fit_sequence, print_sequence, score_of_run
        from retrieval.analysis_files import read_cells

        def of_run(folder: Path) -> float:
            return score_of_run(folder, options.metric, options.split)

        print_sequence(fit_sequence(read_cells(options.file, of_run), str(options.file)))
