"""`audio-relevance rerank`: the best items of one run, ordered again by another."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class Rerank(Command):
    """Rerank a run."""

    name = "rerank"
    summary = "rerank the best items of a finished run with the scores of another"
    description = """\
Rank by a first run, and the best items of each query again by the scores of both runs, from the embeddings that
their tests left. All of the first K items are candidates, whether they are relevant or not, in each direction
by itself. The result is a run folder like any other, which `compare` reads."""
    epilog = """\
example:
  $ audio-relevance rerank runs/demo_infonce/0 runs/demo_listnet/0 --top 50 --output runs/reranked/0
  runs/reranked/0 (test split)
  ┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━┓
  ┃             ┃ text to audio ┃        ┃ audio to text ┃        ┃
  ┃ metric      ┃   1500 in 300 ┃ chance ┃   300 in 1500 ┃ chance ┃
  ┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━┩
  │ mAP@10      │        47.4 % │  1.0 % │        39.6 % │  1.0 % │
  │ mAP@10_all  │        47.4 % │  1.0 % │        21.7 % │  0.2 % │
  ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("first", type=Path, metavar="FIRST", help="folder of the run that chooses the candidates")
        parser.add_argument("second", type=Path, metavar="SECOND", help="folder of the run that rescores them")
        parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="such as runs/reranked/0")
        parser.add_argument("--top", type=int, default=50, metavar="K", help="candidates of each query (default: 50)")
        parser.add_argument(
            "--weight",
            type=float,
            default=0.5,
            help="of the second run, from 0 to 1: (1 - WEIGHT) first + WEIGHT second (default: 0.5)",
        )
        parser.add_argument(
            "--intersect", action="store_true", help="where pools differ, take the recordings that both runs share"
        )

    def run(self, options: argparse.Namespace) -> None:
        """Rerank, print and write."""
        from cli.run_setup import CODE
        from common.errors import RunError
        from experiments.combined.combinations import rerank
        from experiments.combined.shared_pool import single_runs

        folders = single_runs([options.first, options.second])
        if len(folders) != 2:
            raise RunError(
                f"{options.first} and {options.second}: hold {len(folders)} runs; give one run each, such as "
                "runs/clotho_listnet/0"
            )
        first, second = folders
        rerank(
            first,
            second,
            options.output,
            CODE,
            top=options.top,
            weight=options.weight,
            intersect=options.intersect,
        )
        print(f"run: {options.output}")
