"""`audio-relevance analyse`: on which queries runs succeed and fail, hubs, calibration, near misses."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class Analyse(Command):
    """Analyse runs."""

    name = "analyse"
    summary = "analyse finished runs: groups of queries, hubs, calibration, near misses"
    description = """\
Analyse methods that were evaluated on one pool, side by side and without training: metrics by groups of
queries (length, form, events, connectives, negation, rare words), hubness of recordings and what QB-Norm does
to it, calibration of scores, and the queries whose recording is not among the best ten, with their near misses.
A folder is an experiment's, with all its seeds, or one run's. Differences are to the first folder. The data of
the first run's config are read for training captions and known relevance, where they are there."""
    epilog = """\
example:
  $ audio-relevance analyse runs/infonce runs/listnet --output analyses/synthetic
  Test split: text to audio 2,500 queries in a pool of 500, audio to text 500 queries in a pool of 2,500.
  text to audio nDCG@10 by groups of queries
    queries                          n      infonce      listnet   listnet - infonce
   ──────────────────────────────────────────────────────────────────────────────────
    all                          2,500   83.3 ± 0.6   83.4 ± 0.6       +0.09 ± 0.08
    ...
    events said    1             1,149   84.8 ± 0.8   84.7 ± 0.8       -0.08 ± 0.11
                   2             1,048   82.0 ± 0.7   82.2 ± 0.7       +0.19 ± 0.12 *
                   3               290   82.0 ± 1.3   82.4 ± 1.3       +0.40 ± 0.23 *
    ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path, help="of an experiment or a run")
        parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="for csv files and figures")
        parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")
        parser.add_argument(
            "--bank",
            type=int,
            metavar="N",
            help="training captions, evenly spaced, that each run's model embeds as QB-Norm's bank; default: the "
            "captions of a run's validation pool, where it holds one",
        )
        parser.add_argument(
            "--relevant_clips", type=Path, metavar="FILE", help="lists of DCASE 2025, as run.relevant_clips; test only"
        )
        parser.add_argument(
            "--ratings", type=Path, metavar="FOLDER", help="human ratings, as run.ratings; --split validation only"
        )

    def run(self, options: argparse.Namespace) -> None:
        """Read, analyse, print and write."""
        if options.bank is not None and options.bank < 1:
            options.refuse(f"--bank is {options.bank}; give at least 1, or leave it out")
        if options.relevant_clips and options.split != "test":
            options.refuse("--relevant_clips are of the test split; leave --split out")
        if options.ratings and options.split != "validation":
            options.refuse("--ratings are of the validation split; add --split validation")

        import cli.components  # noqa: F401  (so that saved configs can name the data sets)
        from cli.quiet import quiet
        from cli.run_setup import listed_clips, rated_clips
        from common.atomic_files import check_writable
        from experiments.analyses.analysis import analyse
        from experiments.analyses.files import FILES, write_analysis
        from experiments.analyses.runs import read_methods
        from experiments.analyses.screen import print_analysis
        from retrieval.run_data import bank_of_run, facts_of_data

        quiet()
        check_writable(*(options.output / name for name in FILES))
        methods = read_methods(options.folders, options.split)
        judgements = [listed_clips(options.relevant_clips)] if options.relevant_clips else []
        judgements += [rated_clips(options.ratings)] if options.ratings else []
        folders = [run.folder for method in methods for run in method.runs]
        banks = {folder: bank_of_run(folder, options.bank) for folder in folders} if options.bank else {}
        found = analyse(methods, options.split, facts_of_data(methods, options.split), judgements, banks)
        print_analysis(found)
        write_analysis(options.output, found)
        print(f"analysis: {options.output}")
