"""WavCaps (Mei et al. 2024): weakly labelled captions of four sources, for training."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule, Annotation, Tolerance
from datamodules.annotation_files import read_json
from datamodules.audio_folder import audio_by_stem
from datamodules.csv_faults import caption_fault, id_fault
from datamodules.csv_files import read_csv
from datamodules.wavcaps_layout import BROKEN, EXCLUSIONS, FILES, FOLDERS, Exclusion, Source

HOW_TO_GET = (
    "run `audio-relevance download wavcaps --root ROOT`, or get "
    "json_files/ and Zip_files/ of huggingface.co/datasets/cvssp/WavCaps, keep json_files/ in ROOT, unpack each "
    "source's zip into ROOT/audio/SOURCE/, then give ROOT as the data set's root"
)


class WavCaps(AnnotatedDataModule):
    """WavCaps: 403,050 recordings of four sources with one caption each, without those that must not be trained on.

    Layout: `root/json_files/<source>/*_final.json` as published, and `root/audio/<source>/` with the unpacked flac
    files at any depth, the source being AudioSet_SL, BBC_Sound_Effects, FreeSound or SoundBible. What is missing or
    cannot be read (there are files of 0 seconds) is left out with a warning;
    damage inside a file, which only decoding shows, ends the run with the file's name.

    It has no evaluation split: evaluate on another data set through `Mixture`, or set `validation_share`.

    Args:
        root: the folder that holds both.
        sources: which of AudioSet, BBC, FreeSound, SoundBible.
        exclude: official list of recordings to leave out, in `root/json_files/blacklist/`: "clotho_audiocaps" (what is
            in Clotho or AudioCaps; the list misses 18 of AudioCaps' 975 test clips, see `audio-relevance leaks`),
            "clotho" (all that is in Clotho: 401,195 recordings stay, as in Xie et al. 2024), "test_only" (their test
            splits), "classification" (UrbanSound8K, ESC-50, VGGSound), or null.
        exclude_freesound: csv file with a column `sound_id` of further Freesound ids to leave out, such as that of
            DCASE 2025 task 6 ("Not found" in it is passed over).
        validation_share: share of the recordings, chosen by name, that is set aside for validation.
        broken_audio: what a file that cannot be read does: "skip" it, or "refuse" to run.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "validation")
    how_to_get: ClassVar[str] = HOW_TO_GET

    def __init__(
        self,
        root: str = "data/wavcaps",
        sources: Sequence[Source] = tuple(FILES),
        exclude: Exclusion | None = "clotho_audiocaps",
        exclude_freesound: str | None = None,
        validation_share: float = 0.0,
        *,
        broken_audio: Tolerance = "skip",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, broken_audio=broken_audio, **kwargs)
        if unknown := [source for source in sources if source not in FILES]:
            raise DataError(f"data.sources: there is no '{unknown[0]}'; give some of {', '.join(FILES)}")
        if not sources or len(set(sources)) < len(sources):
            raise DataError(f"data.sources is {list(sources)}; give at least one source, and none twice")
        if not 0 <= validation_share < 1:
            raise DataError(f"data.validation_share must be in [0, 1), got {validation_share}")
        self.sources = tuple(sources)
        self.exclude = exclude
        self.exclude_freesound = exclude_freesound
        self.validation_share = validation_share

    def read_annotations(self, split: str) -> list[Annotation]:
        """Like `AnnotatedDataModule.read_annotations`; names are `<source>/<id>`, ids without an ending."""
        excluded = self.excluded_names()
        return [
            Annotation(name, [caption])
            for source in self.sources
            for name, caption in read_wavcaps_json(self.root / "json_files" / FILES[source], source).items()
            if name not in excluded and self._is_held_out(name) == (split == "validation")
        ]

    def excluded_names(self) -> set[str]:
        """Names that the exclusion lists and the list of broken files leave out."""
        names = {f"AudioSet/{name}" for name in BROKEN}
        if self.exclude is not None:
            file_name, sources = EXCLUSIONS[self.exclude]
            path = self.root / "json_files" / "blacklist" / file_name
            content = read_json(path, HOW_TO_GET)
            if not isinstance(content, dict) or not all(isinstance(ids, list) for ids in content.values()):
                raise DataError(f"{path}: is not a table of lists of ids; get the file again")
            if empty := [source for source in sources if not content.get(source)]:
                raise DataError(f"{path}: has no list of {empty[0]} ids; get the file again")
            # Some files write ids as numbers, some as strings.
            names |= {f"{source}/{_stem(str(item))}" for source in sources for item in content[source]}
        if self.exclude_freesound is not None:
            path = Path(self.exclude_freesound).expanduser()
            rows = read_csv(path, ("sound_id",), "utf-8-sig", "check the path")
            for line, row in rows:
                item = _stem(row["sound_id"])
                if item.casefold() == "not found":  # as DCASE's list says of recordings that Freesound has no more
                    continue
                if not item.isdigit():
                    raise DataError(f"{path}, line {line}: sound_id '{item}' is no Freesound id; write whole numbers")
                names.add(f"FreeSound/{item}")
        return names

    def origins(self, split: str) -> dict[str, str]:
        """Ids at the source by name: Freesound's, YouTube's, BBC's or SoundBible's."""
        return {row.name: origin_of(row.name) for row in self.annotations(split)}

    def find_audio(self, split: str, names: Sequence[str]) -> tuple[Path, list[Path | None]]:
        """Like `AnnotatedDataModule.find_audio`."""
        folder = self.audio_folder("audio")
        files = {
            f"{source}/{stem}": path
            for source in self.sources
            for stem, path in audio_by_stem(folder / FOLDERS[source]).items()
        }
        return folder, [files.get(name) for name in names]

    def _is_held_out(self, name: str) -> bool:
        return zlib.crc32(name.encode()) < self.validation_share * 2**32


def origin_of(name: str) -> str:
    """The origin of a recording called `<source>/<id>`.

    >>> origin_of("FreeSound/117790"), origin_of("AudioSet/Yr1nicOVtvkQ")
    ('freesound:117790', 'youtube:r1nicOVtvkQ')
    """
    source, _, item = name.partition("/")
    if source == "AudioSet":
        return f"youtube:{item.removeprefix('Y')}"
    return f"{source.lower()}:{item}"


def read_wavcaps_json(path: Path, source: str) -> dict[str, str]:
    """Captions by `<source>/<id>` of one of WavCaps' files, in its order.

    Raises:
        DataError: no such file, not JSON, another shape, an entry without id or caption, an id that comes twice.
    """
    content = read_json(path, HOW_TO_GET)
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f'{path}: is not of the shape {{"data": [{{"id", "caption", ...}}, ...]}}; get the file again')
    captions: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        item, caption = (entry.get(key) for key in ("id", "caption")) if isinstance(entry, dict) else (None, None)
        if (
            not isinstance(item, str | int)
            or not isinstance(caption, str)
            or not caption.strip()
            or not _stem(str(item))
        ):
            raise DataError(f"{path}: entry {number} has no id or no caption; get the file again, or delete the entry")
        name = f"{source}/{_stem(str(item))}"
        if "/" in name.partition("/")[2]:
            raise DataError(f"{path}: entry {number}: id '{item}' is not a plain name; fix the entry")
        if fault := id_fault(_stem(str(item))) or caption_fault(caption.strip()):
            raise DataError(f"{path}: entry {number}: the id or caption {fault}; fix or delete the entry")
        if name in captions:
            raise DataError(f"{path}: entry {number}: id '{item}' comes twice; delete one of the entries")
        captions[name] = caption.strip()
    return captions


def _stem(item: str) -> str:
    return item.strip().removesuffix(".wav").removesuffix(".flac")
