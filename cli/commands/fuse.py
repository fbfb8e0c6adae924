"""`audio-relevance fuse`: several finished runs as one."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class Fuse(Command):
    """Fuse runs."""

    name = "fuse"
    summary = "fuse finished runs by the weighted mean of their scores, or by ranks"
    description = """\
Evaluate the fusion of finished runs from the embeddings that their tests left, without any model. The result
is a run folder like any other, so `compare` tests it against single runs. Weights are searched on the
validation split, which needs `python train.py validate` of each run, or given; never on the test split."""
    epilog = """\
example:
  $ audio-relevance fuse runs/demo_infonce/0 runs/demo_listnet/0 --output runs/fused/0
  ...
  runs/fused/0 (test split)
  ┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━┓
  ┃             ┃ text to audio ┃        ┃ audio to text ┃        ┃
  ┃ metric      ┃   1500 in 300 ┃ chance ┃   300 in 1500 ┃ chance ┃
  ┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━┩
  │ mAP@10      │        47.1 % │  1.0 % │        41.6 % │  1.0 % │
  ...
  weights: 0.9 runs/demo_infonce/0, 0.1 runs/demo_listnet/0 (searched on validation, text to audio mAP@10 52.9 % there)
  run: runs/fused/0"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, or of an experiment with all its runs"
        )
        parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="such as runs/fused/0")
        parser.add_argument(
            "--method",
            choices=("mean", "ranks"),
            default="mean",
            help="the weighted mean of scores (default), or reciprocal rank fusion, 1 / (60 + rank)",
        )
        parser.add_argument(
            "--weights",
            nargs="+",
            default=["validation"],
            metavar="WEIGHT",
            help="validation: searched there, by text to audio mAP@10 (default); equal; or a number for each run",
        )
        parser.add_argument(
            "--intersect", action="store_true", help="where pools differ, take the recordings that all runs share"
        )

    def run(self, options: argparse.Namespace) -> None:
        """Fuse, print and write."""
        from cli.run_setup import CODE
        from experiments.combined.combinations import fuse
        from experiments.combined.shared_pool import single_runs

        if options.method == "ranks" and options.weights != ["validation"]:
            options.refuse("--weights goes with --method mean: ranks are fused without weights")
        folders = single_runs(options.runs)
        used = fuse(
            folders,
            options.output,
            CODE,
            method=options.method,
            weights=options.weights,
            intersect=options.intersect,
        )
        if used is not None:
            shown = ", ".join(f"{weight:.3g} {folder}" for weight, folder in zip(used.values, folders, strict=True))
            print(f"weights: {shown} ({used.source})")
        print(f"run: {options.output}")
