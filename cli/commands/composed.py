"""`audio-relevance composed`: how well a run finds a recording from another one and words on the difference."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command

SHOWN = ("R@1", "R@5", "R@10", "mAP@10", "median_rank")


class Composed(Command):
    """Evaluate composed queries."""

    name = "composed"
    summary = "rank recordings for queries made of a recording and words on the difference"
    description = """\
Evaluate a finished run on composed queries: a recording of its test split and words lead to another recording
of it. A query is the sum of both embeddings, weighted, at length 1; its own recording is left out of its
ranking. One row a weight: 0 is the words alone, 1 the recording alone. Choose a weight on the validation split
(--split validation), never on the test split. Only the embeddings that `python train.py test` left are needed,
no audio. FILE is a csv with the columns clip, target, text, or one of ADIFF's."""
    epilog = """\
example:
  $ audio-relevance composed runs/demo_listnet/0 --queries queries.csv --weights 0 0.25 1
  runs/demo_listnet/0 (test split): 200 composed queries, 299 recordings ranked, the query's own left out
  ┏━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━┓
  ┃ weight of the recording ┃    R@1 ┃    R@5 ┃   R@10 ┃ mAP@10 ┃ median_rank ┃
  ┡━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━┩
  │ 0                       │ 33.0 % │ 79.0 % │ 86.5 % │ 50.2 % │         3.0 │
  │ 0.25                    │ 16.0 % │ 59.5 % │ 77.5 % │ 33.5 % │         4.0 │
  │ 1                       │  0.5 % │  1.0 % │  3.0 % │  1.0 % │       156.0 │
  │ chance                  │  0.3 % │  1.7 % │  3.3 % │  1.0 % │       150.0 │
  └─────────────────────────┴────────┴────────┴────────┴────────┴─────────────┘"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, such as runs/clotho_listnet/0")
        parser.add_argument("--queries", type=Path, required=True, metavar="FILE.csv", help="what is asked")
        parser.add_argument(
            "--weights",
            nargs="+",
            type=float,
            default=[0, 0.25, 0.5, 0.75, 1],
            metavar="WEIGHT",
            help="of the recording, from 0 to 1; default: 0 0.25 0.5 0.75 1",
        )
        parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")

    def run(self, options: argparse.Namespace) -> None:
        """Rank and print a table."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Column, Table

        from cli.quiet import quiet
        from datamodules.composed_queries import read_composed_queries
        from experiments.results.metrics_table import shown_value
        from retrieval.composed import rank_composed

        if not all(0 <= weight <= 1 for weight in options.weights):
            options.refuse("--weights must be from 0, the words alone, to 1, the recording alone")
        quiet()
        found = rank_composed(options.run, read_composed_queries(options.queries), options.weights, options.split)
        title = (
            f"{options.run} ({options.split} split): {found[0].metrics['queries']:.0f} composed queries, "
            f"{found[0].metrics['items']:.0f} recordings ranked, the query's own left out"
        )
        columns = [Column(name, justify="right") for name in SHOWN]
        table = Table("weight of the recording", *columns, title=escape(title), title_justify="left")
        rows = [(f"{each.weight:g}", each.metrics) for each in found] + [("chance", found[0].chance)]
        for name, metrics in rows:
            table.add_row(name, *(shown_value(metric, metrics[metric]) for metric in SHOWN))
        Console().print(table)
