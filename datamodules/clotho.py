"""Clotho v2.1 (Drossos et al. 2020), and any corpus in its layout."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule, Annotation
from datamodules.csv_faults import caption_fault, id_fault
from datamodules.csv_files import read_csv
from datamodules.file_names import find_files
from datamodules.id_lists import selected

log = logging.getLogger(__name__)
SPLITS = {"train": "development", "validation": "validation", "test": "evaluation"}
TRAINING_SHARE = 2314 / 2893
"""Of the development recordings in Oncescu et al. 2021."""
CAPTION_COLUMNS = tuple(f"caption_{i}" for i in range(1, 6))
METADATA_COLUMNS = ("file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license")
HOW_TO_GET = (
    "run `audio-relevance download clotho --root ROOT`, or get Clotho v2.1 from Zenodo record 4783391 "
    "(doi:10.5281/zenodo.4783391), unpack clotho_audio_*.7z into "
    "ROOT/clotho_audio_files/ and put clotho_captions_*.csv and clotho_metadata_*.csv into ROOT/clotho_csv_files/, "
    "then give ROOT as the data set's root"
)


class Clotho(AnnotatedDataModule):
    """Clotho v2.1: 3,839 / 1,045 / 1,045 recordings of 15 to 30 s with five captions each.

    Layout: `root/clotho_audio_files/{development,validation,evaluation}/*.wav` and
    `root/clotho_csv_files/clotho_{captions,metadata}_{split}.csv`. Recordings that are annotated but not there are left
    out with a warning that names them; the manifest says how much of each split was present. Damaged ones are refused.

    Args:
        root: the folder that holds both.
        subset: "oncescu2021" makes training and validation split of the development recordings, 2,314 / 579 of Clotho
            v1, by `root/oncescu2021/{train,val}_list.txt`; where these are not there, at random by `cut_seed`, which
            is not the authors' cut. Default: the official splits.
        cut_seed: of a random cut.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self,
        root: str = "data/clotho",
        subset: Literal["oncescu2021"] | None = None,
        cut_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, **kwargs)
        self.subset, self.cut_seed = subset, cut_seed

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`."""
        path = self.root / "clotho_csv_files" / f"clotho_captions_{self.official(split)}.csv"
        rows = [Annotation(name, captions) for name, captions in read_caption_csv(path)]
        return rows if self.subset is None or split == "test" else self._cut(rows, split)

    def official(self, split: str) -> str:
        """The split of Clotho's own that the recordings of a split come from."""
        return "development" if self.subset is not None and split == "validation" else SPLITS[split]

    def _cut(self, rows: list[Annotation], split: str) -> list[Annotation]:
        """Training or validation recordings out of those of development."""
        path = self.root / "oncescu2021" / ("train_list.txt" if split == "train" else "val_list.txt")
        if path.is_file():
            return selected(rows, path, lambda name: self.feature_ids(split, name))
        log.warning("%s: no such list, so %s is a random cut (seed %d), not the paper's", path, split, self.cut_seed)
        order = np.random.default_rng(self.cut_seed).permutation(len(rows))
        first = round(len(rows) * TRAINING_SHARE)
        return [rows[i] for i in sorted(order[:first] if split == "train" else order[first:])]

    def origins(self, split: str) -> dict[str, str]:
        """Freesound ids by file name, from the metadata file; a few recordings have none ("Not found")."""
        metadata = read_metadata_csv(self.root / "clotho_csv_files" / f"clotho_metadata_{self.official(split)}.csv")
        ids = {name: row["sound_id"].strip() for name, row in metadata.items()}
        return {name: f"freesound:{sound_id}" for name, sound_id in ids.items() if sound_id.isdigit()}

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """Like `AnnotatedDataModule.find_audio`."""
        folder = self.audio_folder("clotho_audio_files", self.official(split))
        csv_files = self.root / "clotho_csv_files"
        if self.subset is None:
            return folder, find_files(folder, names, csv_files)
        every = [name for name, _ in read_caption_csv(csv_files / f"clotho_captions_{self.official(split)}.csv")]
        files = dict(zip(every, find_files(folder, every, csv_files), strict=True))
        return folder, [files[name] for name in names]


def read_caption_csv(path: Path) -> list[tuple[str, list[str]]]:
    """(file name, captions) of each row of a Clotho caption file (UTF-8), names exactly as written.

    Raises:
        DataError: what `read_csv` raises, a row without a name or without captions, a repeated name, a caption without
            words.
    """
    rows: list[tuple[str, list[str]]] = []
    seen: set[str] = set()
    for line, row in read_csv(path, ("file_name", *CAPTION_COLUMNS), "utf-8-sig", HOW_TO_GET):
        name = row["file_name"]  # not stripped: three of Clotho's names begin with a space
        captions = [text for column in CAPTION_COLUMNS if (text := row[column].strip())]
        if not name.strip():
            raise DataError(f"{path}, line {line}: no file_name, so the captions have no audio; fix or delete the row")
        if Path(name).name != name or name == ".." or any(char in name for char in "\r\n\0"):
            raise DataError(f"{path}, line {line}: file_name {name!r} is not a plain file name; fix the row")
        if fault := id_fault(name.strip()):
            raise DataError(f"{path}, line {line}: file_name '{name}' {fault}; get the file again")
        if name in seen:
            raise DataError(f"{path}, line {line}: file_name '{name}' comes twice; delete one of the rows")
        if not captions:
            raise DataError(f"{path}, line {line}: '{name}' has no caption; fix or delete the row")
        for caption in captions:
            if fault := caption_fault(caption):
                raise DataError(f"{path}, line {line}: a caption of '{name}' {fault}; empty the cell, or fix it")
        seen.add(name)
        rows.append((name, captions))
    if not rows:
        raise DataError(f"{path}: holds no rows; {HOW_TO_GET}")
    return rows


def read_metadata_csv(path: Path) -> dict[str, dict[str, str]]:
    """Metadata of each recording by file name (ISO-8859-1; keywords separated by `;`).

    Raises:
        DataError: no such file, a missing column, or a row with too many cells.
    """
    return {row["file_name"]: row for _, row in read_csv(path, METADATA_COLUMNS, "iso-8859-1", HOW_TO_GET)}
