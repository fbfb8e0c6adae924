"""Results as files: rows as csv, and texts and figures that are written together."""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common.atomic_files import replacing
from experiments.figures.style import save_figure


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under a header as the text of a csv file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def write_together(folder: Path, contents: Mapping[str, Any], names: Collection[str] = ()) -> None:
    """Write texts and figures into a folder, by their names: all or, when one fails, none.

    Files of other `names` are then those of an earlier command, and deleted.

    Raises:
        OSError: one cannot be written.
    """
    with ExitStack() as stack:
        for name, content in contents.items():
            beside = stack.enter_context(replacing(folder / name))
            if isinstance(content, str):
                beside.write_text(content, encoding="utf-8")
            else:
                save_figure(content, beside)
    for name in names:
        if name not in contents:
            (folder / name).unlink(missing_ok=True)
