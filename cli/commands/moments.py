"""`audio-relevance moments`: find spans in long recordings, and rank recordings by their best window."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command
from cli.commands.search import check_lengths
from common.errors import RunError

if TYPE_CHECKING:
    from retrieval.moments import MomentResults

SYNTHETIC = "data/synthetic_moments"
LENGTHS = {False: (10.0, 2.0), True: (4.0, 1.0)}
"""Window and hop in s by default: of annotated recordings, and of the synthetic ones."""


class Moments(Command):
    """Evaluate a model on moments in long recordings."""

    name = "moments"
    interrupted = "interrupted; what was embedded is kept"
    summary = "find the spans of long recordings that queries describe, and rank recordings by their best window"
    description = """\
Evaluate a model on moments in long recordings: each recording is embedded in overlapping windows, a query is
scored against each, and spans are where the scores are high. R1 and mAP of spans are those of Moment-DETR and
lighthouse. All recordings are ranked by their best window too. MODEL is a run's folder, a folder that `export`
wrote, or a pretrained pair by folder or hub name. Choose a window no longer than the moments: the column
"known overlap" says what can be reached with it."""
    epilog = """\
example:
  $ audio-relevance moments runs/demo_listnet/0 --synthetic
  ...
  runs/demo_listnet/0
  ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
  ┃ metric                     ┃            ┃               ┃               ┃
  ┃ 121 queries, 60 recordings ┃ this model ┃ random scores ┃ known overlap ┃
  ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
  │ span_R1@0.5                │     90.1 % │         2.1 % │       100.0 % │
  │ span_R1@0.7                │     24.0 % │         1.2 % │       100.0 % │
  │ span_mAP@0.5               │     90.1 % │         9.7 % │       100.0 % │
  ...
  │ mAP@10                     │     42.1 % │         4.9 % │             - │
  ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", metavar="MODEL", help="such as runs/demo_listnet/0")
        parser.add_argument(
            "--annotations", type=Path, metavar="FILE", help="jsonl of CASTELLA, Clotho-Moment or their layout"
        )
        parser.add_argument("--audio", type=Path, metavar="FOLDER", help="of the recordings, called like their vid")
        parser.add_argument(
            "--synthetic",
            nargs="?",
            type=Path,
            const=Path(SYNTHETIC),
            metavar="FOLDER",
            help=f"in place of both: synthetic recordings, rendered at first use (default: {SYNTHETIC})",
        )
        parser.add_argument(
            "--window", type=float, metavar="SECONDS", help="length of a window (default: 10; of --synthetic 4)"
        )
        parser.add_argument(
            "--hop",
            type=float,
            metavar="SECONDS",
            help="from a window to the next (default: a fifth; of --synthetic 1)",
        )
        parser.add_argument(
            "--level",
            type=float,
            default=0.5,
            help="where a span ends, between a recording's lowest score (0) and the peak (1); default: 0.5",
        )
        parser.add_argument(
            "--missing",
            choices=("refuse", "skip"),
            default="refuse",
            help="where a recording has no audio: refuse (default), or skip its queries",
        )
        parser.add_argument(
            "--output", type=Path, metavar="FOLDER", help="for predictions.jsonl, figures.csv and queries.csv"
        )

    def run(self, options: argparse.Namespace) -> None:
        """Embed, find, evaluate, print and write."""
        window, hop = lengths(options.synthetic is not None, options.window, options.hop)
        if not 0 < options.level < 1:
            raise RunError(f"--level is {options.level:g}; give a number between 0 and 1")
        if (options.synthetic is None) == (options.annotations is None and options.audio is None):
            options.refuse("give --annotations FILE and --audio FOLDER, or --synthetic")
        if options.synthetic is None and None in (options.annotations, options.audio):
            options.refuse("--annotations FILE and --audio FOLDER go together; give both")

        from cli.quiet import quiet
        from common.atomic_files import check_writable
        from datamodules.moments import read_moments
        from datamodules.synthesis.moments import AUDIO, render_moments
        from retrieval.moment_files import FILES, write_moments
        from retrieval.moments import embed_recordings, evaluate_moments
        from retrieval.open_model import load_run

        quiet()
        if options.output is not None:
            check_writable(*(options.output / name for name in FILES))
        if options.synthetic is not None:
            annotations = render_moments(options.synthetic)
            audio = annotations.parent / AUDIO
        else:
            annotations, audio = options.annotations.expanduser(), options.audio
        moments = read_moments(annotations)
        model = load_run(options.model)
        recordings, kept, summary = embed_recordings(model, moments, audio, window, hop, options.missing)
        print(f"index: {summary}")
        results = evaluate_moments(model, recordings, kept, options.level)
        print(f"moments: {annotations}, in windows of {window:g} s every {hop:g} s")
        print_results(results, options.model)
        if options.output is not None:
            write_moments(options.output, results)
            print(f"written: {', '.join(str(options.output / name) for name in FILES)}")


def lengths(synthetic: bool, window: float | None, hop: float | None) -> tuple[float, float]:
    """Length of windows and hop in s.

    Raises:
        RunError: as `check_lengths`.
    """
    usual, usual_hop = LENGTHS[synthetic]
    window = usual if window is None else window
    hop = window * usual_hop / usual if hop is None else hop
    check_lengths(window, hop)
    return window, hop


def print_results(results: MomentResults, title: str) -> None:
    """Print the figures beside those of random scores and of the known overlap."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from experiments.results.metrics_table import shown_value

    ranking = results.ranking
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    table.add_column(f"metric\n{len(results.moments)} queries, {ranking.items} recordings")
    for name in ("this model", "random scores", "known overlap"):
        table.add_column(name, justify="right", style="dim" if name != "this model" else None)
    for metric, *values in results.figures():
        table.add_row(metric, *(shown_value(metric, value) for value in values))
    console = Console()
    console.print(table)
    console.print(
        "span_R1 and span_mAP: by IoU with the annotated windows, in the annotated recording; the others rank "
        "recordings by their best window.",
        style="dim",
    )
