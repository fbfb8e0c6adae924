"""Search recordings by words: `python search.py --run RUN [--audio FOLDER] "a dog barks while rain falls"`.

RUN is the folder of a finished run, such as runs/demo_listnet/0. Without --audio its test recordings are searched. A
folder's recordings are embedded at the first search and kept in RUN/search/; later only what is new or was changed is.
Of recordings longer than the run's data.max_seconds the beginning is embedded, as in its test.
"""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from transformers.utils import logging as transformers_logging

from common.errors import RunError, UserError
from common.text import one_line, refused_by_system
from datamodules.killed_workers import explain_killed_worker
from experiments.run_folder import find_run
from retrieval.load_run import load_model, read_config
from retrieval.search_index import Hit, SearchIndex, embedded_folder, example_queries, tested_recordings
from retrieval.search_page import load_gradio, serve


def main(arguments: list[str] | None = None) -> int:
    """Print rankings; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", nargs="*", metavar="QUERY", help="what to listen for, in words; quote each query")
    parser.add_argument("--run", required=True, type=Path, help="folder of a run, or of an experiment with one run")
    parser.add_argument("--audio", type=Path, metavar="FOLDER", help="recordings to search, at any depth")
    parser.add_argument("--top", type=int, default=10, help="how many recordings to show (default: 10)")
    parser.add_argument("--serve", action="store_true", help="open a local page with a search box and players")
    parser.add_argument("--port", type=int, help="of the page (default: the first free one from 7860)")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        search(options)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {refused_by_system(error)}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        message = explain_killed_worker(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 1
    return 0


def search(options: argparse.Namespace) -> None:
    """Answer the queries, then open the page, as the options say.

    Raises:
        RunError: the options make no search, or the run cannot be used.
        DataError: the folder of recordings cannot be used.
        ModelError: the run's weights cannot be used.
    """
    if not options.queries and not options.serve:
        raise RunError('no query: say in words what you want to hear ("a dog barks"), or give --serve for a page')
    if not all(query.strip() for query in options.queries):
        raise RunError("a query is empty; say in words what you want to hear")
    if options.top < 1:
        raise RunError(f"--top is {options.top}; give at least 1")
    if options.serve:
        load_gradio()  # before anything slow
    folder = find_run(options.run)
    config = read_config(folder)
    model = load_model(folder, config)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(many workers|ranks is zero|worker processes in total|LeafSpec).*")
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
    columns = ("rank", "similarity", Column("file", overflow="fold"), Column("seconds", justify="right"))
    table = Table(*columns, title=escape(query), title_justify="left", title_style="bold")
    for hit in hits:
        seconds = "" if hit.seconds is None else f"{hit.seconds:.1f}"
        table.add_row(str(hit.rank), f"{hit.similarity:.3f}", escape(hit.name), seconds)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
