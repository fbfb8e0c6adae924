"""Clotho v2.1 (Drossos et al. 2020), and any corpus in its layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule, Annotation
from datamodules.csv_faults import caption_fault, id_fault
from datamodules.csv_files import read_csv
from datamodules.file_names import find_files

SPLITS = {"train": "development", "validation": "validation", "test": "evaluation"}
CAPTION_COLUMNS = tuple(f"caption_{i}" for i in range(1, 6))
METADATA_COLUMNS = ("file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license")
HOW_TO_GET = (
    "run `audio-relevance download clotho --root ROOT`, or get Clotho v2.1 from Zenodo record 4783391 "
    "(doi:10.5281/zenodo.4783391), unpack clotho_audio_*.7z into "
    "ROOT/clotho_audio_files/ and put clotho_captions_*.csv and clotho_metadata_*.csv into ROOT/clotho_csv_files/, "
    "then give ROOT as --data.root"
)


class Clotho(AnnotatedDataModule):
    """Clotho v2.1: 3,839 / 1,045 / 1,045 recordings of 15 to 30 s with five captions each.

    Layout: `root/clotho_audio_files/{development,validation,evaluation}/*.wav` and
    `root/clotho_csv_files/clotho_{captions,metadata}_{split}.csv`. Recordings that are annotated but not there are left
    out with a warning that names them; the manifest says how much of each split was present. Damaged ones are refused.

    Args:
        root: the folder that holds both.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(self, root: str = "data/clotho", **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`."""
        path = self.root / "clotho_csv_files" / f"clotho_captions_{SPLITS[split]}.csv"
        return [Annotation(name, captions) for name, captions in read_caption_csv(path)]

    def origins(self, split: str) -> dict[str, str]:
        """Freesound ids by file name, from the metadata file; a few recordings have none ("Not found")."""
        metadata = read_metadata_csv(self.root / "clotho_csv_files" / f"clotho_metadata_{SPLITS[split]}.csv")
        ids = {name: row["sound_id"].strip() for name, row in metadata.items()}
        return {name: f"freesound:{sound_id}" for name, sound_id in ids.items() if sound_id.isdigit()}

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """Like `AnnotatedDataModule.find_audio`."""
        folder = self.audio_folder("clotho_audio_files", SPLITS[split])
        return folder, find_files(folder, names, self.root / "clotho_csv_files")


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
