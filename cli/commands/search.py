"""`audio-relevance search`: find recordings by a description in words."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command
from common.errors import RunError
from common.text import query_fault

if TYPE_CHECKING:
    from retrieval.search_index import Hit


class Search(Command):
    """Search recordings with a finished run's model."""

    name = "search"
    intermixed = True
    interrupted = "interrupted; what was embedded is kept"
    summary = "search recordings with a finished run's model, in the terminal or on a page"
    description = """\
Search recordings by words with the model of a finished run. A first argument that is a folder is searched, at any
depth; without one, the recordings that the run was tested on. A folder is embedded at the first search and kept in
RUN/search/; later only what is new or has changed is embedded. Recordings longer than the run's data.max_seconds (or
--window) are embedded in windows of that length, and ranked by the best one. The page (--serve) also searches by an
example recording, alone or together with words, and takes words away."""
    epilog = """\
example:
  $ audio-relevance search --run runs/demo_listnet/0 --top 3 "a dog barks while rain falls"
                 a dog barks while rain falls
  ┏━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
  ┃ rank ┃ similarity ┃ file                 ┃ seconds ┃
  ┡━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
  │ 1    │ 0.700      │ evaluation_00247.wav │     3.9 │
  │ 2    │ 0.694      │ evaluation_00158.wav │     5.4 │
  │ 3    │ 0.674      │ evaluation_00288.wav │     3.4 │
  └──────┴────────────┴──────────────────────┴─────────┘"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "queries",
            nargs="*",
            metavar="FOLDER | QUERY",
            help="a folder of recordings, then what to listen for, in words; quote each query",
        )
        parser.add_argument(
            "--run",
            metavar="MODEL",
            help="folder of a run or of an experiment with one run, a folder that `export` wrote, or a pretrained pair "
            "by folder or hub name (default: the newest run in runs/)",
        )
        parser.add_argument("--audio", type=Path, metavar="FOLDER", help="another way to give the folder")
        parser.add_argument(
            "--window",
            type=float,
            metavar="SECONDS",
            help="length of the windows that longer recordings of a folder are cut into (default: data.max_seconds)",
        )
        parser.add_argument(
            "--hop", type=float, metavar="SECONDS", help="from a window to the next (default: no more than cover it)"
        )
        parser.add_argument("--top", type=int, default=10, help="how many recordings to show (default: 10)")
        parser.add_argument("--serve", action="store_true", help="open a local page with a search box and players")
        parser.add_argument("--port", type=int, help="of the page (default: the first free one from 7860)")

    def run(self, options: argparse.Namespace) -> None:
        """Answer the queries, then open the page, as the options say."""
        audio, queries = folder_and_queries(options.audio, options.queries)
        if not queries and not options.serve:
            raise RunError('no query: say in words what you want to hear ("a dog barks"), or give --serve for a page')
        if fault := next(filter(None, map(query_fault, queries)), None):
            raise RunError(f"a query {fault}; say in words what you want to hear")
        if options.top < 1:
            raise RunError(f"--top is {options.top}; give at least 1")
        check_lengths(options.window, options.hop)
        if options.port is not None and not 1 <= options.port <= 65535:
            raise RunError(f"--port is {options.port}; give a number from 1 to 65535")

        import logging

        from cli.quiet import quiet
        from retrieval.search_model import open_searched
        from retrieval.search_server import serve

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        quiet()
        name = str(newest_run(Path("runs"))) if options.run is None else options.run
        if options.run is None:
            print(f"model: {name} (--run names another)")
        if audio is None and (options.window or options.hop):
            raise RunError("--window and --hop cut the recordings of a folder; give a FOLDER")
        searched = open_searched(name, audio, options.window, options.hop)
        for query in queries:
            print_hits(query, searched.index.search(query, options.top))
        if options.serve:
            serve(searched.index, {"model": searched.model, "captions": searched.captions}, options.top, options.port)


def folder_and_queries(audio: Path | None, given: list[str]) -> tuple[Path | None, list[str]]:
    """The folder of recordings, None where there is none, and the queries.

    Raises:
        RunError: the first argument is written like a folder, and is none.
    """
    if audio is not None or not given:
        return audio, given
    first = Path(given[0]).expanduser()
    if os.path.isdir(first):  # unlike Path's, it takes a query that is longer than any path
        return first, given[1:]
    if "/" in given[0] and " " not in given[0]:
        what = "is not a folder" if os.path.exists(first) else "no such folder"
        raise RunError(f"{first}: {what}; give the folder of your recordings")
    return None, given


def check_lengths(window: float | None, hop: float | None) -> None:
    """Whether windows can be cut so.

    Raises:
        RunError: a length is not above 0, or the hop leaves gaps between windows, or goes without a window.
    """
    if window is not None and not 0.1 <= window <= 3600:
        raise RunError(f"--window is {window:g}; give seconds from 0.1 to 3600")
    if hop is not None and window is None:
        raise RunError("--hop goes with --window SECONDS; give both")
    if hop is not None and window is not None and not 0.01 <= hop <= window:
        raise RunError(f"--hop is {hop:g}; give seconds from 0.01 to the window's {window:g}")


def newest_run(root: Path) -> Path:
    """The run below a folder whose best weights are the newest.

    Raises:
        RunError: there is none.
    """
    found = sorted(root.glob("*/*/checkpoints/best.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RunError(f"{root}: no finished run; `make demo` trains one in three minutes, or name one with --run")
    return found[-1].parents[1]


def print_hits(query: str, hits: list[Hit]) -> None:
    """Print a ranking as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    columns: tuple[str | Column, ...] = (
        "rank",
        "similarity",
        Column("file", overflow="fold"),
        Column("seconds", justify="right"),
    )
    parts = any(hit.start is not None for hit in hits)
    if parts:
        columns = (*columns, Column("best part", justify="right"))
    table = Table(*columns, title=escape(query), title_justify="left", title_style="bold")
    for hit in hits:
        seconds = "" if hit.seconds is None else f"{hit.seconds:.1f}"
        part = [] if not parts else ["" if hit.start is None else f"{hit.start:.1f} - {hit.end:.1f}"]
        table.add_row(str(hit.rank), f"{hit.similarity:.3f}", escape(hit.name), seconds, *part)
    Console().print(table)
