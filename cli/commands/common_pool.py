"""Judge runs anew on the recordings that all of them were tested on: `python common_pool.py RUN RUN ...`.

RUN is a run's folder, such as runs/clotho_listnet/0. Everybody has another part of AudioCaps, and a smaller pool is an
easier one: only on a common pool can figures be compared.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from common.errors import RunError
from evaluation.embedding_pool import on_common_recordings
from evaluation.evaluator import evaluate
from experiments.results.pool_file import read_pool
from experiments.run_folder import RunFolder

SHOWN = ("mAP@10", "R@1", "R@5", "R@10")


def main(arguments: list[str] | None = None) -> int:
    """Print the table; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path)
    options = parser.parse_args(arguments)
    try:
        pools = [read_pool(RunFolder(run).pool("test")) for run in options.runs]
        common = on_common_recordings(pools)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    title = f"on the {len(common[0].names)} recordings of all runs"
    table = Table(Column("run", overflow="fold"), "its pool", "direction", *SHOWN, title=title)
    for run, own, shared in zip(options.runs, pools, common, strict=True):
        for direction, result in evaluate("test", shared).rankings.items():
            summary = result.summary()
            figures = [f"{100 * summary[name]:.1f} %" for name in SHOWN]
            table.add_row(escape(str(run)), str(len(own.names)), direction.replace("_", " "), *figures)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
