"""Captions out of a file, beside those that people wrote."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from common.errors import DataError
from common.text import first_of
from datamodules.augmentations.base import Augmentation, Side, Source
from datamodules.batch import Example
from datamodules.csv_faults import caption_fault
from datamodules.csv_files import read_csv

COLUMNS = ("file_name", "caption")


class ExtraCaptions(Augmentation):
    """Puts a caption of a file in the place of the annotated one: back-translated, or written by a language model.

    Which of a recording's captions in the file is drawn; a recording without one keeps its own. Relevance remains that
    of the annotated caption: a target is looked up by its id.

    Args:
        file: csv with the columns `file_name` and `caption`, as many rows for a recording as there are captions.
        share: of the examples.

    Raises:
        DataError: the share is out of range; or (in `prepare`) the file cannot be used, or names no training recording.

    Relations: `Synonyms` exchanges single words, and needs no file of the data set's own.
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"text"})

    def __init__(self, file: str, share: float = 0.5) -> None:
        super().__init__(share)
        self.file = Path(file).expanduser()
        self.captions: dict[str, list[str]] = {}

    def prepare(self, names: Sequence[str]) -> None:
        """Read the captions of training recordings."""
        found = read_extra_captions(self.file)
        self.captions = {name: found[name.strip()] for name in names if name.strip() in found}
        if not self.captions:
            raise DataError(
                f"{self.file}: names no training recording (it has {first_of(found)}; the data has {first_of(names)}); "
                "write names as the data set does"
            )

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """With another caption, where there is one."""
        known = self.captions.get(example.name)
        return replace(example, captions=[known[rng.integers(len(known))]]) if known else example


def read_extra_captions(path: Path) -> dict[str, list[str]]:
    """Captions by the name of the recording.

    Raises:
        DataError: as `read_csv`; a name is missing, or a text is no caption.
    """
    found: dict[str, list[str]] = {}
    for line, row in read_csv(path, COLUMNS, "utf-8-sig", "give a csv with the columns file_name and caption"):
        name, caption = (row[column].strip() for column in COLUMNS)
        if not name:
            raise DataError(f"{path}, line {line}: has no file_name; fill it in, or delete the row")
        if fault := "is empty" if not caption else caption_fault(caption):
            raise DataError(f"{path}, line {line}: the caption of '{name}' {fault}; write one, or delete the row")
        found.setdefault(name, []).append(caption)
    return found
