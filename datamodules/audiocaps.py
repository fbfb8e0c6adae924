"""AudioCaps (Kim et al. 2019), version 1 and version 2.0 of February 2025."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule, Annotation, Tolerance
from datamodules.audio_folder import audio_by_stem
from datamodules.csv_faults import caption_fault, id_fault, plain_number
from datamodules.csv_files import read_csv
from datamodules.file_names import warn_of_unmentioned
from datamodules.id_lists import find_list, selected

log = logging.getLogger(__name__)
SPLITS = {"train": "train", "validation": "val", "test": "test"}
LISTS = {
    "train": ("train_list.txt",),
    "validation": ("filtered_val_list.txt", "val_list.txt", "val_audioset_5_orig.json"),
    "test": ("final_filtered_test_list.txt", "test_list.txt", "test_full.json"),
}
"""Of ids, as Oncescu et al. 2021 call them, and as their authors published them elsewhere."""
COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
FOLDERS = {1: "dataset", 2: "dataset2.0"}
"""Where each version's csv files are, in the repository and here."""
HOW_TO_GET = (
    "run `audio-relevance download audiocaps --root ROOT`, or get "
    "dataset/{train,val,test}.csv (of version 2: dataset2.0/) from github.com/cdjkim/audiocaps into ROOT, collect the "
    "audio from YouTube into ROOT/audio/{train,val,test}/, called {youtube_id}_{start_time}, {youtube_id}, either with "
    "a Y before it, or {audiocap_id}, then give ROOT as the data set's root"
)


class AudioCaps(AnnotatedDataModule):
    """AudioCaps: 49,838 / 495 / 975 clips of 10 s, with one caption each in training and five in evaluation.

    Version 2.0 has 91,256 captions for training, and the same clips for validation and test, 2,475 and 4,875 captions,
    of which some differ. Figures on one version cannot be compared with those on the other, so the manifest of a run
    says which was taken.

    Layout: `root/dataset/{train,val,test}.csv`, or `root/dataset2.0/{train,val,test}.csv` for version 2, and
    `root/audio/{train,val,test}/`, whose files are called `{youtube_id}_{start_time}`, `{youtube_id}`, each with or
    without a `Y` before it, or `{audiocap_id}`, with any audio ending, at any depth. Rows of one YouTube id and start
    time are captions of one recording, called `{youtube_id}_{start_time}` here.

    Videos disappear from YouTube, so every copy of the data set differs: missing files, and files that cannot be read,
    are left out with a warning, and the manifest says what was present.

    Args:
        root: the folder that holds both.
        version: of the captions, 1 or 2.
        subset: "oncescu2021" keeps the recordings of that paper's lists of ids in `root/oncescu2021/` (49,291 / 428 /
            816; without a list of training ids all training recordings); default: all.
        max_seconds: longer recordings are cropped, at random in training, from the beginning in evaluation.
        broken_audio: what a file that cannot be read does: "skip" it, or "refuse" to run.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self,
        root: str = "data/audiocaps",
        subset: Literal["oncescu2021"] | None = None,
        version: Literal[1, 2] = 1,
        *,
        max_seconds: float | None = 10.0,
        broken_audio: Tolerance = "skip",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, max_seconds=max_seconds, broken_audio=broken_audio, **kwargs)
        if version not in FOLDERS:
            raise DataError(f"data.version is {version}; give 1 or 2")
        self.subset, self.version = subset, version
        self._ids: dict[str, dict[str, list[str]]] = {}

    @property
    def label(self) -> str:
        """Like `AnnotatedDataModule.label`."""
        return "AudioCaps" if self.version == 1 else "AudioCaps 2.0"

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`."""
        captions, self._ids[split] = read_audiocaps_csv(self._csv(split))
        rows = [Annotation(name, texts) for name, texts in captions.items()]
        if self.subset is None:
            return rows
        folder = self.root / self.subset
        if split == "train" and not any((folder / name).is_file() for name in LISTS["train"]):
            log.warning("%s: no list of training ids, so all %d are taken", folder / LISTS["train"][0], len(rows))
            return rows
        return selected(rows, find_list(folder, LISTS[split], HOW_TO_GET), lambda name: self.feature_ids(split, name))

    def feature_ids(self, split: str, name: str) -> list[str]:
        """Like `AnnotatedDataModule.feature_ids`; also with its begin, or begin and end, in milliseconds."""
        youtube_id, _, start = name.rpartition("_")
        begin = round(1000 * float(start))
        in_ms = [f"{youtube_id}_{begin}", f"{youtube_id}_{begin}_{begin + 10_000}"]
        return [*_stems(name, self._ids[split].get(name, [])), *in_ms]

    def origins(self, split: str) -> dict[str, str]:
        """YouTube ids by name."""
        return {row.name: f"youtube:{row.name.rpartition('_')[0]}" for row in self.annotations(split)}

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """Like `AnnotatedDataModule.find_audio`."""
        folder = self.audio_folder("audio", SPLITS[split])
        files = audio_by_stem(folder)
        self.annotations(split)
        spellings = [_stems(name, self._ids[split][name]) for name in names]
        found = [next((files[stem] for stem in stems if stem in files), None) for stems in spellings]
        used = set(found)
        if self.subset is None:
            warn_of_unmentioned(folder, [path.name for path in files.values() if path not in used], self._csv(split))
        return folder, found

    def _csv(self, split: str) -> Path:
        return self.root / FOLDERS[self.version] / f"{SPLITS[split]}.csv"


def _stems(name: str, audiocap_ids: list[str]) -> list[str]:
    """What people call the file of a recording, without an ending."""
    youtube_id = name.rpartition("_")[0]
    return [name, f"Y{name}", f"Y{youtube_id}", youtube_id, *audiocap_ids]


def read_audiocaps_csv(path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Captions, and AudioCaps ids, of each recording, by `{youtube_id}_{start_time}`, in the file's order.

    Raises:
        DataError: what `read_csv` raises, an id that comes twice or was lost in a spreadsheet, a row without id or
            caption.
    """
    captions: dict[str, list[str]] = {}
    ids: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    for line, row in read_csv(path, COLUMNS, "utf-8-sig", HOW_TO_GET):
        audiocap_id, youtube_id, start, caption = (plain_number(row[column].strip()) for column in COLUMNS)
        if not (audiocap_id and youtube_id and start and caption):
            raise DataError(f"{path}, line {line}: a cell is empty; fix or delete the row")
        for column, text in zip(COLUMNS, (audiocap_id, youtube_id, start), strict=False):
            if fault := id_fault(text):
                raise DataError(f"{path}, line {line}: {column} {text!r} {fault}; get the file again")
        if not start.replace(".", "", 1).isdecimal():
            raise DataError(f"{path}, line {line}: start_time '{start}' is no number of seconds; get the file again")
        if fault := caption_fault(caption):
            raise DataError(f"{path}, line {line}: the caption {fault}; fix or delete the row")
        if audiocap_id in seen:
            raise DataError(
                f"{path}, line {line}: audiocap_id {audiocap_id} is in line {seen[audiocap_id]} already; "
                "delete one of the rows"
            )
        seen[audiocap_id] = line
        name = f"{youtube_id}_{start}"
        captions.setdefault(name, []).append(caption)
        ids.setdefault(name, []).append(audiocap_id)
    if not captions:
        raise DataError(f"{path}: holds no rows; {HOW_TO_GET}")
    return captions, ids
