"""`audio-relevance compare`: methods against each other, with paired tests."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class Compare(Command):
    """Compare experiments."""

    name = "compare"
    summary = "compare finished runs: means over seeds, paired tests, tables"
    description = """\
Compare methods that were evaluated on one pool.

A folder is an experiment's, with all its seeds, or one run's, such as runs/clotho_listnet/0. Printed are the
table of means and standard deviations over the runs, and for each pair of methods the paper's paired t-test
over queries, the same over recordings (the captions of one recording are not independent queries), sign-flip
permutation tests, Holm's correction, and how much of the uncertainty comes from the seeds. A difference is
the later folder minus the earlier one, so name the baseline first. Nothing is written unless --output is
given."""
    epilog = """\
example:
  $ audio-relevance compare runs/demo_infonce runs/demo_listnet
  text to audio
    method         runs       mAP@10          R@1          R@5         R@10      nDCG@10
    demo_infonce      5   46.8 ± 0.6   29.7 ± 0.7   71.0 ± 1.3   85.5 ± 0.9   81.4 ± 0.5
    demo_listnet      5   46.2 ± 0.6   28.9 ± 0.9   70.3 ± 0.8   85.2 ± 0.5   80.6 ± 0.3
  demo_listnet against demo_infonce, text to audio mAP@10: -0.59 points, 95 % interval -1.31 to +0.13 over recordings
    over queries (the paper's test): t(1499) = -2.426, p = .0154; sign flips p = .0138; d_z -0.063
    ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path, help="of an experiment or a run")
        parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")
        parser.add_argument(
            "--metrics",
            nargs="+",
            default=[],
            metavar="METRIC",
            help="more metrics to show and test, besides text_to_audio/mAP@10: R@1 for both directions, "
            "audio_to_text/R@1 for one",
        )
        parser.add_argument(
            "--form",
            choices=("xie2024", "oncescu2021"),
            default="xie2024",
            help="columns of a paper's tables: mAP@10 and R@k of Xie et al. 2024 (default), or R@k and the median rank "
            "(MdR) of Oncescu et al. 2021",
        )
        parser.add_argument(
            "--intersect",
            action="store_true",
            help="evaluate all runs again, on the recordings that all have in common: a smaller pool is an easier one",
        )
        parser.add_argument(
            "--league",
            action="store_true",
            help="for many methods: one table, best first, with the difference of each from the first folder; only "
            "these differences are tested",
        )
        parser.add_argument("--permutations", type=int, default=10_000, metavar="N", help="sign flips; default: 10000")
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FOLDER",
            help="write table.md, table.tex, comparison.png (with --league league.md instead), and unrounded, as "
            "fractions of 1, table.csv and tests.csv",
        )

    def run(self, options: argparse.Namespace) -> None:
        """Read the runs, test, print and write."""
        from common.atomic_files import check_writable
        from experiments.comparison.paired_tests import compare_experiments
        from experiments.comparison.report import FILES, print_comparison, write_comparison
        from experiments.comparison.summaries import metrics_to_test, shown_metrics
        from experiments.results.experiment import read_experiments

        if options.output:
            check_writable(*(options.output / name for name in FILES))
        experiments = read_experiments(options.folders, options.split, intersect=options.intersect)
        asked = metrics_to_test(experiments, options.metrics)
        tests = compare_experiments(experiments, asked, options.permutations, with_first=options.league)
        shown = shown_metrics(experiments, asked, options.form)
        league = options.league and bool(tests)
        print_comparison(experiments, shown, tests, options.split, intersected=options.intersect, league=league)
        if options.output:
            write_comparison(options.output, experiments, shown, tests, options.split, league=league)
