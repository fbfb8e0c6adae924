"""The table of a split: its recordings and captions, in Arrow columns that worker processes share without copying."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datamodules.audio import AudioInfo
from datamodules.experts.in_tables import ExpertFrames


@dataclass(frozen=True)
class SplitTable:
    """Recordings of one split that are present, and their captions.

    Ids are running numbers over *all* rows of a data set's annotation files, so they do not depend on which audio files
    happen to be there.

    Attributes:
        audio: one row a recording: audio_id int64, name string, path string, frames int64, sample_rate int32, and
            offset int64, at which byte of a shard its samples begin (null for a file of its own), gain float32,
            what they are multiplied by, and begin int64, the sample of the file that is the recording's first.
        captions: one row a caption: caption_id int64, audio_row int64 (row of `audio`), caption string; sorted by
            audio_row.
        missing: file names in the annotations that are not in the folder.
        experts: by name of the expert, frames of the recordings; where there are some, they stand in for the audio.
        not_drawn: recordings that are present and were left out by `drawn`.
    """

    audio: pa.Table
    captions: pa.Table
    missing: tuple[str, ...] = ()
    experts: Mapping[str, ExpertFrames] = field(default_factory=dict)
    not_drawn: int = 0

    def __post_init__(self) -> None:
        # First caption row of each recording, and one past the last: (A + 1,)
        bounds = np.searchsorted(self.captions["audio_row"].to_numpy(), np.arange(len(self.audio) + 1))
        object.__setattr__(self, "_bounds", bounds)

    def caption_rows(self, audio_row: int) -> range:
        """Rows of `captions` that describe recording `audio_row`."""
        bounds: npt.NDArray[np.int64] = self._bounds  # type: ignore[attr-defined]
        return range(int(bounds[audio_row]), int(bounds[audio_row + 1]))

    def info(self, audio_row: int) -> AudioInfo:
        """Length and sample rate of a recording."""
        return AudioInfo(self.audio["frames"][audio_row].as_py(), self.audio["sample_rate"][audio_row].as_py())

    def first_captions(self) -> "SplitTable":
        """The same recordings, each with its first caption alone."""
        rows = self.captions["audio_row"].to_numpy()
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        return replace(self, captions=self.captions.take(first))

    def drawn(self, fraction: float, seed: int) -> "SplitTable":
        """A share of the recordings, at least one, with all their captions.

        Each recording has a random number that depends on `seed` and its id alone, and the lowest ones are taken: a
        smaller share lies within a larger one, and missing files change nothing for the others.
        """
        ids = self.audio["audio_id"].to_numpy()  # (A,)
        count = max(1, round(fraction * len(ids)))
        if count >= len(ids):
            return self
        numbers = np.random.default_rng(seed).random(int(ids.max()) + 1)[ids]
        rows = np.sort(np.argsort(numbers)[:count])  # (A',)
        described = self.captions["audio_row"].to_numpy()
        kept = np.flatnonzero(np.isin(described, rows))
        captions = self.captions.take(kept)
        captions = captions.set_column(1, "audio_row", pa.array(np.searchsorted(rows, described[kept]), pa.int64()))
        return replace(self._of_audio(rows), captions=captions, not_drawn=self.not_drawn + len(ids) - count)

    def mislabelled(self, share: float, seed: int) -> "SplitTable":
        """The same captions, those of a share of the recordings each with the audio of another one of the share.

        Captions of one recording stay together, and every recording keeps captions. The recordings of a smaller share
        are among those of a larger one.
        """
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(self.audio))[: round(share * len(self.audio))]
        if len(rows) < 2:
            return self
        order = np.arange(len(self.audio))
        order[rows] = np.roll(rows, 1)
        return self._of_audio(order)

    def _of_audio(self, rows: npt.NDArray[np.int64]) -> "SplitTable":
        """Some rows of `audio` with their features; captions stay as they are."""
        experts = {
            name: frames._replace(places=tuple(frames.places[row] for row in rows))
            for name, frames in self.experts.items()
        }
        return replace(self, audio=self.audio.take(rows), experts=experts)

    def manifest(self) -> dict[str, Any]:
        """How much of the official split is present: counts, the share, hashes of ids and names, and of captions."""
        names = self.audio["name"].to_pylist()
        digest = hashlib.sha256()
        for audio_id, name in zip(self.audio["audio_id"].to_pylist(), names, strict=True):
            digest.update(f"{audio_id}\t{name}\n".encode())
        texts = hashlib.sha256()
        for caption_id, text in zip(
            self.captions["caption_id"].to_pylist(), self.captions["caption"].to_pylist(), strict=True
        ):
            encoded = text.encode()
            texts.update(f"{caption_id}\t{len(encoded)}\t".encode() + encoded)
        present = len(names) + self.not_drawn
        official = present + len(self.missing)
        return {
            "clips": len(names),
            "captions": len(self.captions),
            "official_clips": official,
            "share_present": present / official if official else 0.0,
            "sha256": digest.hexdigest(),
            "captions_sha256": texts.hexdigest(),
            "missing": list(self.missing),
            **({"not_drawn": self.not_drawn} if self.not_drawn else {}),
            **({"experts": {name: frames.facts for name, frames in self.experts.items()}} if self.experts else {}),
        }


class AudioRow(NamedTuple):
    """A recording as a row of `SplitTable.audio`, where the columns are explained."""

    audio_id: int
    name: str
    path: Path
    info: AudioInfo
    offset: int | None = None
    gain: float = 1.0
    begin: int = 0


def split_table(
    rows: Sequence[AudioRow],
    captions: Sequence[tuple[int, int, str]],
    missing: Sequence[str] = (),
    experts: Mapping[str, ExpertFrames] | None = None,
) -> SplitTable:
    """Build a table from rows and captions (caption_id, audio_row, caption)."""
    audio = pa.table(
        {
            "audio_id": pa.array([row.audio_id for row in rows], pa.int64()),
            "name": pa.array([row.name for row in rows], pa.string()),
            "path": pa.array([str(row.path) for row in rows], pa.string()),
            "frames": pa.array([row.info.frames for row in rows], pa.int64()),
            "sample_rate": pa.array([row.info.sample_rate for row in rows], pa.int32()),
            "offset": pa.array([row.offset for row in rows], pa.int64()),
            "gain": pa.array([row.gain for row in rows], pa.float32()),
            "begin": pa.array([row.begin for row in rows], pa.int64()),
        }
    )
    ordered = sorted(captions, key=lambda caption: caption[1])
    table = pa.table(
        {
            "caption_id": pa.array([caption[0] for caption in ordered], pa.int64()),
            "audio_row": pa.array([caption[1] for caption in ordered], pa.int64()),
            "caption": pa.array([caption[2] for caption in ordered], pa.string()),
        }
    )
    return SplitTable(audio, table, tuple(missing), experts or {})
