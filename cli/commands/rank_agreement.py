"""`audio-relevance rank-agreement`: do a query and its translation find the same recordings?"""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class RankAgreement(Command):
    """Compare the rankings of queries and their translations."""

    name = "rank-agreement"
    summary = "compare a run's rankings for queries and for their translations or paraphrases"
    description = """\
Rank the recordings that a run was tested on for each query of a csv file (`query,translation`) and for its
translation or paraphrase, and print how well both rankings agree: Spearman's rho and Kendall's tau-b over all
recordings, the overlap of the best ten, and rank-biased overlap. Where a query is a caption of the pool, the
rank of its recording is known in both."""
    epilog = """\
example:
  $ audio-relevance rank-agreement runs/demo_listnet/0 german.csv    # a model that knows English alone
                         mean     95 % interval   pairs
   ─────────────────────────────────────────────────────
    spearman            0.205   -0.077 to 0.487      12
    kendall_tau_b       0.142   -0.067 to 0.351      12
    overlap@10          0.408    0.269 to 0.548      12
    ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run that holds embeddings of the split")
        parser.add_argument("file", type=Path, metavar="FILE", help="csv with the columns query,translation")
        parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")
        parser.add_argument("--output", type=Path, metavar="FILE", help="csv file with a row for each pair")

    def run(self, options: argparse.Namespace) -> None:
        """Score, print and write."""
        from cli.quiet import quiet
        from common.atomic_files import check_not_read, check_writable
        from experiments.analyses.agreement import agreement_of_pairs, print_agreement, write_agreement
        from retrieval.analysis_files import read_pairs
        from retrieval.query_pairs import TextScorer

        quiet()
        if options.output:
            check_writable(options.output)
            check_not_read(options.output, [options.file])
        pairs = read_pairs(options.file)
        scorer = TextScorer(options.run, options.split)
        queries, translations = zip(*pairs, strict=True)
        first, second = scorer.matrix(queries), scorer.matrix(translations)
        values = agreement_of_pairs(first, second, scorer.own(queries))
        print_agreement(values, pairs)
        if options.output:
            write_agreement(options.output, values, pairs)
            print(f"pairs: {options.output}")
