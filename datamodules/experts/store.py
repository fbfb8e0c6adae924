"""A store: the frames that one expert gave of the recordings of one data set, in a folder.

    frames.npy           (N, D) float16 or float32, the frames of all recordings, one recording after the other
    recordings.parquet   one row a recording: split, name, captions (a checksum), first (row of frames), frames
    facts.json           expert, weights, sample rate, hop, D, versions, and the checksums of the two other files

A recording that the expert has nothing of is not listed. `facts.json` is written last, so a folder without it is no
store.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from common.atomic_files import replacing
from common.errors import DataError
from common.text import cause_of

FORMAT = 1
FACTS, FRAMES, RECORDINGS = "facts.json", "frames.npy", "recordings.parquet"
DTYPES = ("float16", "float32")
_COLUMNS = pa.schema(
    [(name, pa.string()) for name in ("split", "name", "captions")]
    + [(name, pa.int64()) for name in ("first", "frames")]
)


class Recording(NamedTuple):
    """A recording as a store lists it.

    Attributes:
        split, name: together unique in a data set.
        captions: `captions_checksum` of its captions, by which another data set of equal names is noticed.
    """

    split: str
    name: str
    captions: str


class ExpertStore:
    """A store that was opened and found whole.

    Args:
        folder: of the store.

    Attributes:
        facts: what facts.json says.
        rows: first frame and number of frames of each recording, by (split, name).

    Raises:
        DataError: it is no store, of another version, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = read_facts(folder)
        for name in (FRAMES, RECORDINGS):
            _check_file(folder / name, str(self.facts["sha256"].get(name)))
        try:
            table = pq.read_table(folder / RECORDINGS, columns=_COLUMNS.names).cast(_COLUMNS)
            shape, dtype = self.frames.shape, str(self.frames.dtype)
        except (OSError, KeyError, ValueError) as error:  # pyarrow's are ValueErrors
            raise DataError(f"{folder}: cannot be read ({cause_of(error)}); extract or import it again") from error
        if shape[1:] != (self.dim,) or dtype not in DTYPES:
            raise DataError(
                f"{folder}: {FACTS} speaks of {self.dim} dimensions, but {FRAMES} has shape {shape} and type {dtype}; "
                "extract or import it again"
            )
        first, count = (table[name].to_numpy() for name in ("first", "frames"))
        if (outside := (first < 0) | (count < 0) | (first + count > shape[0])).any():
            name = table["name"][int(outside.argmax())].as_py()
            raise DataError(
                f"{folder}: the frames of '{name}' are not among the {shape[0]} of {FRAMES}; extract or import it again"
            )
        self.recordings = [Recording(*row) for row in zip(*(table[i].to_pylist() for i in range(3)), strict=True)]
        spans = zip(first.tolist(), count.tolist(), strict=True)
        keys = [(recording.split, recording.name) for recording in self.recordings]
        self.rows: dict[tuple[str, str], tuple[int, int]] = dict(zip(keys, spans, strict=True))
        self._captions = {key: recording.captions for key, recording in zip(keys, self.recordings, strict=True)}

    @property
    def dim(self) -> int:
        """Size D of a frame."""
        return int(self.facts["dim"])

    @property
    def frames(self) -> npt.NDArray[np.floating]:
        """All frames (N, D), memory-mapped."""
        return _mapped(self.folder / FRAMES)

    def describes(self, recording: Recording) -> bool:
        """Whether the store lists a recording.

        Raises:
            DataError: it does, with other captions: it was made of another data set.
        """
        captions = self._captions.get(recording[:2])
        if captions is not None and captions != recording.captions:
            raise DataError(
                f"{self.folder}: is a store of another data set: {recording.name!r} has other captions there; extract "
                "or import one of this data set"
            )
        return captions is not None

    def of(self, split: str, name: str) -> npt.NDArray[np.float32]:
        """Frames (T, D) float32 of a recording; T is 0 where it is not listed.

        Raises:
            DataError: they hold NaN or inf.
        """
        first, count = self.rows.get((split, name), (0, 0))
        frames = np.array(self.frames[first : first + count], np.float32)
        if not np.isfinite(frames).all():
            raise DataError(f"{self.folder}: the frames of '{name}' hold NaN or inf; extract or import the store again")
        return frames


def captions_checksum(captions: Sequence[str]) -> str:
    """16 hex digits that tell these captions from others."""
    return hashlib.sha256(json.dumps(list(captions)).encode()).hexdigest()[:16]


def recordings_checksum(recordings: Sequence[Recording]) -> str:
    """SHA-256 of all recordings of a data set, in order."""
    return hashlib.sha256("".join(f"{json.dumps(recording)}\n" for recording in recordings).encode()).hexdigest()


def read_facts(folder: Path) -> dict[str, Any]:
    """What facts.json of a store says.

    Raises:
        DataError: there is none, or it is not that of a store of this version.
    """
    path = folder / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = "is not a finished store of features" if folder.is_dir() else "no such store of features"
        raise DataError(f"{folder}: {what}; make one with `audio-relevance extract` or `import-features`") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); extract or import the features again") from error
    kinds = {"format": int, "dim": int, "sha256": dict}
    if not isinstance(facts, dict) or not all(isinstance(facts.get(key), kind) for key, kind in kinds.items()):
        facts = {}
    if facts.get("format") != FORMAT:
        raise DataError(f"{path}: is not that of a store of format {FORMAT}; extract or import the features again")
    return facts


def write_store(
    folder: Path,
    recordings: Sequence[Recording],
    frames: Sequence[int],
    facts: dict[str, Any],
) -> None:
    """Write the table and the facts of a store whose frames.npy is there: a folder becomes a store.

    Args:
        folder: holds frames.npy (N, D).
        recordings: those that the expert has frames of, in the order of the frames.
        frames: how many each has, at least 1; their sum is N.
        facts: about the expert.

    Raises:
        DataError: there are no recordings, or one comes twice.
    """
    if not recordings:
        raise DataError(f"{folder}: the expert has nothing of any recording, so there is no store to write")
    keys = [recording[:2] for recording in recordings]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"{folder}: recording {twice[1]!r} of {twice[0]} comes twice")
    counts = np.asarray(frames, np.int64)
    columns = [*zip(*recordings, strict=True), np.cumsum(counts) - counts, counts]
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, _COLUMNS, strict=True)], _COLUMNS)
    with replacing(folder / RECORDINGS) as beside:
        pq.write_table(table, beside)
    whole = _mapped(folder / FRAMES)
    about = {
        "format": FORMAT,
        **facts,
        "dim": whole.shape[1],
        "dtype": str(whole.dtype),
        "recordings": len(recordings),
        "frames": int(counts.sum()),
        "sha256": {name: sha256_of(folder / name) for name in (FRAMES, RECORDINGS)},
    }
    with replacing(folder / FACTS) as beside:
        beside.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def write_header(stream: Any, dtype: str, count: int, dim: int) -> None:
    """The beginning of a .npy file (count, dim), so that frames can be written behind it piece by piece."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (count, dim)}
    np.lib.format.write_array_header_1_0(stream, header)


def _check_file(path: Path, expected: str) -> None:
    try:
        status = path.stat()
        found = _sha256_once(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); extract or import the features again") from error
    if found != expected:
        raise DataError(f"{path}: is damaged (its checksum is not that in {FACTS}); extract or import it again")


@functools.lru_cache(maxsize=64)
def _sha256_once(path: Path, size: int, modified: int) -> str:
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=64)
def _mapped_once(path: Path, size: int, modified: int) -> npt.NDArray[np.floating]:
    """Kept outside the store, so that a store that goes to another process takes no frames along."""
    return np.lib.format.open_memmap(path, mode="r")


def _mapped(path: Path) -> npt.NDArray[np.floating]:
    status = path.stat()
    return _mapped_once(path, status.st_size, status.st_mtime_ns)
