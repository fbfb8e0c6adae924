"""Clotho v2.1 (Drossos et al. 2020), and any corpus in its layout."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.progress import track

from datamodules.audio import AudioInfo, read_info
from datamodules.base import AudioCaptionDataModule
from datamodules.errors import DataError
from datamodules.table import SplitTable, split_table

log = logging.getLogger(__name__)

SPLITS = {"train": "development", "validation": "validation", "test": "evaluation"}
CAPTION_COLUMNS = tuple(f"caption_{i}" for i in range(1, 6))
METADATA_COLUMNS = ("file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license")
HOW_TO_GET = (
    "get Clotho v2.1 from Zenodo record 4783391 (doi:10.5281/zenodo.4783391), unpack clotho_audio_*.7z into "
    "ROOT/clotho_audio_files/ and put clotho_captions_*.csv and clotho_metadata_*.csv into ROOT/clotho_csv_files/, "
    "then give ROOT as --data.root"
)


class Clotho(AudioCaptionDataModule):
    """Clotho v2.1: 3,839 / 1,045 / 1,045 recordings of 15 to 30 s with five captions each.

    Layout: `root/clotho_audio_files/{development,validation,evaluation}/*.wav` and
    `root/clotho_csv_files/clotho_{captions,metadata}_{split}.csv`. Recordings that are annotated but not there are left
    out with a warning that names them; the manifest says how much of each split was present. Damaged ones are refused.

    Args:
        root: the folder that holds both.
        batch_size: pairs a training step, on each device; also recordings an evaluation step.
        max_seconds: longer recordings are cropped, at random in training, from the beginning in evaluation.
        sample_rate: in Hz; default: what the model's audio encoder wants.
        unique_audio: whether a training batch holds a recording at most once, over all devices.
        missing_audio: what an annotated recording without a file does: "skip" it, or "refuse" to run.
        num_workers: processes that decode audio; 0 decodes in the main process.
        seed: of order and crops; default: the run's seed.
    """

    def __init__(
        self,
        root: str = "data/clotho",
        batch_size: int = 32,
        max_seconds: float | None = 30.0,
        sample_rate: int | None = None,
        unique_audio: bool = True,
        missing_audio: Literal["skip", "refuse"] = "skip",
        num_workers: int = 4,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, max_seconds, sample_rate, unique_audio, num_workers, seed)
        self.root = Path(root).expanduser()
        self.missing_audio = missing_audio

    def read_captions(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Like `AudioCaptionDataModule.read_captions`."""
        rows = [row for split in SPLITS.values() for row in self._annotations(split)]
        captions = [caption for _, texts in rows for caption in texts]
        counts = [len(texts) for _, texts in rows]
        return captions, np.repeat(np.arange(len(rows)), counts)

    def read_split(self, split: str) -> SplitTable:
        """Like `AudioCaptionDataModule.read_split`."""
        audio_id, caption_id = self._first_ids(split)
        folder = self.root / "clotho_audio_files" / SPLITS[split]
        annotations = self._annotations(SPLITS[split])
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of recordings; {HOW_TO_GET}")
        rows: list[tuple[int, str, Path, AudioInfo]] = []
        captions: list[tuple[int, int, str]] = []
        missing: list[str] = []
        for name, texts in track(annotations, f"checking {SPLITS[split]} audio", transient=True):
            path = folder / name
            if path.is_file():
                captions += [(caption_id + i, len(rows), text) for i, text in enumerate(texts)]
                rows.append((audio_id, name, path, read_info(path)))
            else:
                missing.append(name)
            audio_id += 1
            caption_id += len(texts)
        self._report_missing(missing, folder, len(annotations))
        return split_table(rows, captions, missing)

    def _first_ids(self, split: str) -> tuple[int, int]:
        """Audio and caption id of the first row of a split: the numbers run over all splits."""
        audio_id = caption_id = 0
        for name, folder in SPLITS.items():
            if name == split:
                break
            annotations = self._annotations(folder)
            audio_id += len(annotations)
            caption_id += sum(len(texts) for _, texts in annotations)
        return audio_id, caption_id

    def _annotations(self, split: str) -> list[tuple[str, list[str]]]:
        """(file name, captions) of each row of a split's caption file, in its order."""
        path = self.root / "clotho_csv_files" / f"clotho_captions_{split}.csv"
        return read_caption_csv(path)

    def _report_missing(self, missing: Sequence[str], folder: Path, total: int) -> None:
        if not missing:
            return
        shown = ", ".join(repr(name) for name in missing[:10]) + (", ..." if len(missing) > 10 else "")
        message = f"{folder}: {len(missing)} of {total} annotated recordings are missing: {shown}"
        if len(missing) == total or self.missing_audio == "refuse":
            raise DataError(f"{message}; {HOW_TO_GET}")
        log.warning("%s; going on without them (the full list is in the manifest)", message)


def read_caption_csv(path: Path) -> list[tuple[str, list[str]]]:
    """(file name, captions) of each row of a Clotho caption file (UTF-8), names exactly as written.

    Raises:
        DataError: no such file, another encoding, a missing column, a row with too many cells, without a name or
            without captions, a repeated name.
    """
    rows: list[tuple[str, list[str]]] = []
    seen: set[str] = set()
    for line, row in read_csv(path, ("file_name", *CAPTION_COLUMNS), "utf-8-sig"):
        name = row["file_name"]  # not stripped: three of Clotho's names begin with a space
        captions = [text for column in CAPTION_COLUMNS if (text := row[column].strip())]
        if not name.strip():
            raise DataError(f"{path}, line {line}: no file_name, so the captions have no audio; mend or delete the row")
        if Path(name).name != name or name == ".." or any(char in name for char in "\r\n\0"):
            raise DataError(f"{path}, line {line}: file_name {name!r} is not a plain file name; mend the row")
        if name in seen:
            raise DataError(f"{path}, line {line}: file_name '{name}' comes twice; delete one of the rows")
        if not captions:
            raise DataError(f"{path}, line {line}: '{name}' has no caption; mend or delete the row")
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
    return {row["file_name"]: row for _, row in read_csv(path, METADATA_COLUMNS, "iso-8859-1")}


def read_csv(path: Path, columns: Sequence[str], encoding: str) -> list[tuple[int, dict[str, str]]]:
    """(line number, row by column) of a csv file that must have `columns`; absent cells are empty strings.

    Raises:
        DataError: no such file, another encoding, a missing column, a quote that is never closed, or a row with more
            cells than columns.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            if lacking := [column for column in columns if column not in (reader.fieldnames or [])]:
                found = ", ".join(reader.fieldnames or []) or "none"
                raise DataError(f"{path}: column '{lacking[0]}' is missing (found: {found}); get the file anew")
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {HOW_TO_GET}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); get the file anew") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not in {encoding} ({error}); save it in that encoding") from error
    except csv.Error as error:
        raise DataError(f"{path}: is not a csv file ({error}); mend its quotes, or get the file anew") from error
    for line, row in rows:
        if None in row:
            raise DataError(
                f"{path}, line {line}: has more cells than the header; put text that holds commas in double quotes"
            )
    return rows
