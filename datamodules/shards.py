"""Shards: a data set's audio at the training rate, in tar files that WebDataset reads too, with random access.

A shard is an uncompressed tar of pairs `<key>.wav` (mono, 16 bit) and `<key>.json` (name, split, captions). Beside it
lies a parquet table that says at which byte each recording's samples begin, so that a crop is one read of a known
length: no header is parsed, nothing is decoded or resampled. FLAC would halve the size, but a crop would be decoded.
"""

import io
import json
import tarfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datamodules.audio import FULL_SCALE, read_audio, read_info
from datamodules.errors import DataError

COLUMNS = {
    "split": pa.string(),
    "name": pa.string(),
    "shard": pa.string(),
    "offset": pa.int64(),
    "frames": pa.int64(),
    "error": pa.string(),
}


class Recording(NamedTuple):
    """What is packed: a recording's split, its name there, its captions and its file."""

    split: str
    name: str
    captions: list[str]
    path: Path


class PackedAudio(NamedTuple):
    """Where a recording's samples lie: `frames` 16-bit samples from byte `offset` of the file `shard`."""

    shard: Path
    offset: int
    frames: int


def write_shard(folder: Path, number: int, recordings: Sequence[Recording], sample_rate: int) -> int:
    """Write shard-NNNNNN.tar and, last, shard-NNNNNN.parquet; how many recordings could not be read.

    The bytes depend on the recordings alone. A recording that cannot be read has a row with its error, and no samples.
    """
    tar, index = shard_files(folder, number)
    rows: list[dict[str, object]] = []
    beside = tar.with_name(f".{tar.name}.part")
    with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as archive:
        for place, recording in enumerate(recordings):
            row = {"split": recording.split, "name": recording.name, "shard": tar.name}
            try:
                samples = _samples(recording.path, sample_rate)
            except DataError as error:
                rows.append({**row, "error": str(error)})
                continue
            key = f"{number:06}_{place:06}"
            about = {"name": recording.name, "split": recording.split, "captions": recording.captions}
            offset = _add(archive, f"{key}.wav", _wav(samples, sample_rate))
            _add(archive, f"{key}.json", json.dumps(about, ensure_ascii=False).encode())
            header = len(_wav(samples[:0], sample_rate))
            rows.append({**row, "offset": offset + header, "frames": len(samples)})
    beside.replace(tar)
    _write_rows(index, rows, sample_rate)
    return sum("error" in row for row in rows)


def shard_files(folder: Path, number: int) -> tuple[Path, Path]:
    """A shard's tar and its table; the table is there only when the tar is whole."""
    return folder / f"shard-{number:06}.tar", folder / f"shard-{number:06}.parquet"


def read_index(folder: Path, sample_rate: int) -> dict[tuple[str, str], PackedAudio]:
    """Every packed recording by split and name.

    Raises:
        DataError: it is no folder of shards, not finished, or of another sample rate.
    """
    path = folder / "index.parquet"
    if not path.is_file():
        raise DataError(f"{path}: no such file; pack the data set into {folder} with `python pack.py`, to its end")
    try:
        table = pq.read_table(path)
        packed_rate = int(table.schema.metadata[b"sample_rate"])
        columns = [table[name].to_pylist() for name in ("split", "name", "shard", "offset", "frames", "error")]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); run `python pack.py` again"
        ) from error
    if packed_rate != sample_rate:
        raise DataError(
            f"{folder}: is packed at {packed_rate} Hz, but the audio encoder wants {sample_rate} Hz; pack the data set "
            f"once more with --sample_rate {sample_rate}"
        )
    return {
        (split, name): PackedAudio(folder / shard, offset, frames)
        for split, name, shard, offset, frames, error in zip(*columns, strict=True)
        if error is None
    }


def write_index(folder: Path, shards: int, sample_rate: int) -> list[tuple[str, str]]:
    """Join the shards' tables into index.parquet; names and errors of the recordings that could not be packed."""
    table = pa.concat_tables([pq.read_table(shard_files(folder, number)[1]) for number in range(shards)])
    beside = folder / ".index.parquet.part"
    pq.write_table(table.replace_schema_metadata({"sample_rate": str(sample_rate)}), beside)
    beside.replace(folder / "index.parquet")
    failed = table.filter(pc.is_valid(table["error"]))
    return list(zip(failed["name"].to_pylist(), failed["error"].to_pylist(), strict=True))


def _samples(path: Path, sample_rate: int) -> npt.NDArray[np.int16]:
    """A whole file (T,) as 16-bit mono at `sample_rate`; what is louder than full scale is clipped."""
    waveform = read_audio(path, read_info(path), sample_rate)
    scaled = np.clip(np.round(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    return scaled.astype("<i2")


def _wav(samples: npt.NDArray[np.int16], sample_rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file of that content; the byte of the archive at which it begins."""
    member = tarfile.TarInfo(name)  # no date, owner or rights of this machine
    member.size = len(content)
    begin = archive.offset + tarfile.BLOCKSIZE
    archive.addfile(member, io.BytesIO(content))
    return begin


def _write_rows(path: Path, rows: list[dict[str, object]], sample_rate: int) -> None:
    arrays = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in COLUMNS.items()}
    beside = path.with_name(f".{path.name}.part")
    pq.write_table(pa.table(arrays).replace_schema_metadata({"sample_rate": str(sample_rate)}), beside)
    beside.replace(path)
