"""Clotho on the tiny corpus, and changes to its csv files."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.clotho import Clotho
from tests.support.corpus import Corpus

Refused = Callable[[Callable[[], object]], str]
RATE = 16000


def clotho(corpus: Corpus, **arguments: Any) -> Clotho:
    options = {"batch_size": 2, "max_seconds": 0.25, "sample_rate": RATE, "num_workers": 0} | arguments
    return Clotho(str(corpus.root), **options)


def ready(corpus: Corpus, **arguments: Any) -> Clotho:
    module = clotho(corpus, **arguments)
    module.setup("fit")
    module.setup("test")
    return module


def rewrite(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change a csv file's rows, the header among them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
