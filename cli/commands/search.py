"""`audio-relevance search`: find recordings by a description in words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command
from common.errors import RunError

if TYPE_CHECKING:
    from retrieval.search_index import Hit


class Search(Command):
    """Search recordings with a finished run's model."""

    name = "search"
    summary = "search recordings with a finished run's model, in the terminal or on a page"
    description = """\
Search recordings by words with the model of a finished run, such as runs/demo_listnet/0. Without --audio its
test recordings are searched. A folder's recordings are embedded at the first search and kept in RUN/search/;
later only what is new or has changed. Of recordings longer than the run's data.max_seconds the beginning is
embedded, as in its test."""
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
            "queries", nargs="*", metavar="QUERY", help="what to listen for, in words; quote each query"
        )
        parser.add_argument("--run", required=True, type=Path, help="folder of a run, or of an experiment with one run")
        parser.add_argument("--audio", type=Path, metavar="FOLDER", help="recordings to search, at any depth")
        parser.add_argument("--top", type=int, default=10, help="how many recordings to show (default: 10)")
        parser.add_argument("--serve", action="store_true", help="open a local page with a search box and players")
        parser.add_argument("--port", type=int, help="of the page (default: the first free one from 7860)")

    def run(self, options: argparse.Namespace) -> None:
        """Answer the queries, then open the page, as the options say."""
        if not options.queries and not options.serve:
            raise RunError('no query: say in words what you want to hear ("a dog barks"), or give --serve for a page')
        if not all(query.strip() for query in options.queries):
            raise RunError("a query is empty; say in words what you want to hear")
        if options.top < 1:
            raise RunError(f"--top is {options.top}; give at least 1")
        if options.port is not None and not 1 <= options.port <= 65535:
            raise RunError(f"--port is {options.port}; give a number from 1 to 65535")

        import logging
        import warnings

        from cli.quiet import quiet
        from experiments.run_folder import find_run
        from retrieval.load_run import load_model, read_config
        from retrieval.search_index import SearchIndex, embedded_folder, example_queries, tested_recordings
        from retrieval.search_page import load_gradio, serve

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        quiet()
        if options.serve:
            load_gradio()  # before anything slow
        folder = find_run(options.run)
        config = read_config(folder)
        model = load_model(folder, config)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*(ranks is zero|worker processes in total).*")
            recordings = (
                embedded_folder(folder, config, model, options.audio)
                if options.audio
                else tested_recordings(folder, config, model)
            )
        index = SearchIndex(model, recordings)
        for query in options.queries:
            print_hits(query, index.search(query, options.top))
        if options.serve:
            serve(index, str(folder.path), example_queries(folder, 5), options.top, options.port)


def print_hits(query: str, hits: list[Hit]) -> None:
    """Print a ranking as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    columns = ("rank", "similarity", Column("file", overflow="fold"), Column("seconds", justify="right"))
    table = Table(*columns, title=escape(query), title_justify="left", title_style="bold")
    for hit in hits:
        seconds = "" if hit.seconds is None else f"{hit.seconds:.1f}"
        table.add_row(str(hit.rank), f"{hit.similarity:.3f}", escape(hit.name), seconds)
    Console().print(table)
