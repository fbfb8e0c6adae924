"""Shards: a data set's audio at the training rate, in tar files that WebDataset reads too, with random access.

A shard is an uncompressed tar of pairs `<key>.wav` (mono, 16 bit) and `<key>.json` (name, split, captions), all of one
split. Beside it is a parquet table that says at which byte each recording's samples begin, so that a crop is one read
of a known length: no header is parsed, nothing is decoded or resampled. FLAC would halve the size, but a crop would be
decoded. The tables together are index.parquet: all that was annotated, with captions and ids, so that a packed data set
is whole without its annotation files. A recording that has no file, or one that cannot be read, keeps its place in its
shard, with the error and without samples: it can be added later.
"""

import io
import json
import math
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

from common.atomic_files import replacing
from common.errors import DataError
from common.text import cause_of
from datamodules.audio import FULL_SCALE, PACK, read_audio, read_info
from datamodules.shards.checks import check_shards

COLUMNS = {
    "audio_id": pa.int64(),
    "split": pa.string(),
    "name": pa.string(),
    "captions": pa.list_(pa.string()),
    "shard": pa.string(),
    "shard_bytes": pa.int64(),
    "key": pa.string(),
    "offset": pa.int64(),
    "frames": pa.int64(),
    "gain": pa.float32(),
    "error": pa.string(),
}

WAV_HEADER = 44
"""Bytes before the samples of a wav file as `wave` writes it."""

NO_FILE = "has no file"
"""The error of a recording that is annotated, but not there."""


class Recording(NamedTuple):
    """What is packed: a recording's id in its data module, its split, its name there, its captions and its file."""

    audio_id: int
    split: str
    name: str
    captions: list[str]
    path: Path | None


class PackedAudio(NamedTuple):
    """Where a recording's samples lie: `frames` 16-bit samples from byte `offset` of the file `shard`, times `gain`."""

    shard: Path
    offset: int
    frames: int
    gain: float = 1.0


def renew_shard(folder: Path, number: int, recordings: Sequence[Recording], sample_rate: int) -> None:
    """`write_shard`, if the shard is missing, is damaged, or is not what writing it would give now.

    Only the recordings that failed before are read again: a file that was packed is assumed to be unchanged.
    """
    if not _is_current(folder, number, recordings, sample_rate):
        write_shard(folder, number, recordings, sample_rate)


def _is_current(folder: Path, number: int, recordings: Sequence[Recording], sample_rate: int) -> bool:
    tar, index = shard_files(folder, number)
    if not (tar.is_file() and index.is_file()):
        return False
    try:
        table = pq.read_table(index)
        check_shards(folder, table)
    except (DataError, pa.ArrowException, OSError, KeyError):
        return False
    if table["name"].to_pylist() != [recording.name for recording in recordings]:
        return False
    former_errors = table["error"].to_pylist()
    return all(
        recording.path is not None if former is None else _error(recording, sample_rate) == former
        for recording, former in zip(recordings, former_errors, strict=True)
    )


def _error(recording: Recording, sample_rate: int) -> str | None:
    """Why a recording cannot be packed; None where it can."""
    try:
        _samples(recording, sample_rate)
    except DataError as error:
        return str(error)
    return None


def write_shard(folder: Path, number: int, recordings: Sequence[Recording], sample_rate: int) -> None:
    """Write shard-NNNNNN.tar and, last, shard-NNNNNN.parquet.

    The bytes depend on the recordings alone. A recording that cannot be read has a row with its error, and no samples.
    The tables that describe a former shard, index.parquet among them, are deleted before it is replaced.
    """
    tar, index = shard_files(folder, number)
    rows: list[dict[str, object]] = []
    with replacing(tar) as beside:
        with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as archive:
            for place, recording in enumerate(recordings):
                key = f"{number:06}_{place:06}"
                row = {**_annotated(recording), "shard": tar.name, "key": key}
                try:
                    samples, gain = _samples(recording, sample_rate)
                except DataError as error:
                    rows.append({**row, "error": str(error)})
                    continue
                about: dict[str, object] = {
                    "name": recording.name,
                    "split": recording.split,
                    "captions": recording.captions,
                }
                if gain != 1:
                    about["gain"] = gain
                offset = _add(archive, f"{key}.wav", _wav(samples, sample_rate))
                _add(archive, f"{key}.json", json.dumps(about, ensure_ascii=False).encode())
                rows.append({**row, "offset": offset + WAV_HEADER, "frames": len(samples), "gain": gain})
        size = beside.stat().st_size
        for outdated in (folder / "index.parquet", index):
            outdated.unlink(missing_ok=True)
    _write_table(index, _table([{**row, "shard_bytes": size} for row in rows]), sample_rate)


def shard_files(folder: Path, number: int) -> tuple[Path, Path]:
    """A shard's tar and its table; the table is there only when the tar is whole."""
    return folder / f"shard-{number:06}.tar", folder / f"shard-{number:06}.parquet"


def read_index(folder: Path, sample_rate: int, check: bool = True) -> dict[tuple[str, str], PackedAudio]:
    """Every packed recording by split and name; `check`: after `check_shards`.

    Raises:
        DataError: it is no folder of shards, not finished, or of another sample rate; or a shard is not there, or not
            what the index says.
    """
    path = folder / "index.parquet"
    if not path.is_file():
        raise DataError(f"{path}: no such file; pack the data set into {folder} with {PACK}, to its end")
    names = ("split", "name", "shard", "offset", "frames", "gain", "error", "shard_bytes")
    table, packed_rate = index_table(path.read_bytes(), str(folder), names)
    check_rate(str(folder), packed_rate, sample_rate)
    if check:
        check_shards(folder, table)
    return {
        (split, name): PackedAudio(folder / shard, offset, frames, gain)
        for split, name, shard, offset, frames, gain, error, _ in zip(
            *(table[name].to_pylist() for name in names), strict=True
        )
        if error is None
    }


def index_table(content: bytes, folder: str, columns: Sequence[str]) -> tuple[pa.Table, int]:
    """These columns of an index.parquet, a row for each annotated recording by id, and the shards' rate in Hz.

    Args:
        content: of the file.
        folder: where it lies, for messages.
        columns: some of `COLUMNS`; of a recording without samples `error` says why; `shard_bytes` is null, and `gain`
            1, where an older version wrote the index.

    Raises:
        DataError: it is no such table, or a column is missing.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        packed_rate = int(table.schema.metadata[b"sample_rate"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}/index.parquet: cannot be read ({cause_of(error)}); run {PACK} again") from error
    if "shard_bytes" not in table.column_names:
        table = table.append_column("shard_bytes", pa.nulls(len(table), pa.int64()))
    gain = pc.fill_null(table["gain"], 1.0) if "gain" in table.column_names else pa.array(np.ones(len(table), "f4"))
    table = table.select([name for name in table.column_names if name != "gain"]).append_column("gain", gain)
    if absent := [name for name in columns if name not in table.column_names]:
        raise DataError(
            f"{folder}/index.parquet: has no {absent[0]}, as an older version wrote it; pack again, elsewhere"
        )
    return table.select(list(columns)), packed_rate


def check_rate(folder: str, packed_rate: int, sample_rate: int) -> None:
    """Whether shards of one rate serve an encoder that wants another, both in Hz.

    Raises:
        DataError: they do not.
    """
    if packed_rate != sample_rate:
        raise DataError(
            f"{folder}: is packed at {packed_rate} Hz, but the audio encoder wants {sample_rate} Hz; pack the data set "
            f"again with --sample_rate {sample_rate}"
        )


def write_index(folder: Path, shards: int, sample_rate: int) -> list[tuple[str, str]]:
    """Join the shards' tables into index.parquet.

    Returns:
        Names and errors of the recordings whose files could not be read.
    """
    tables = [pq.read_table(shard_files(folder, number)[1]) for number in range(shards)]
    table = pa.concat_tables(tables, promote_options="default")  # older ones have no gain
    table = table.sort_by("audio_id")
    _write_table(folder / "index.parquet", table, sample_rate)
    failed = table.filter(pc.not_equal(table["error"], NO_FILE))  # where there is no error it is null, and left out
    return list(zip(failed["name"].to_pylist(), failed["error"].to_pylist(), strict=True))


def _annotated(recording: Recording) -> dict[str, object]:
    return {name: getattr(recording, name) for name in ("audio_id", "split", "name", "captions")}


def _samples(recording: Recording, sample_rate: int) -> tuple[npt.NDArray[np.int16], float]:
    """A whole file (T,) as 16-bit mono at `sample_rate`, and what it is to be multiplied by: a power of two.

    That is 1, unless it goes beyond full scale, as float files may and resampling does.
    """
    if recording.path is None:
        raise DataError(NO_FILE)
    waveform = read_audio(recording.path, read_info(recording.path), sample_rate)
    peak = float(np.abs(waveform).max())
    gain = 2.0 ** math.ceil(math.log2(peak)) if peak > 1 else 1.0
    scaled = np.clip(np.round(waveform * (FULL_SCALE / gain)), -FULL_SCALE, FULL_SCALE - 1)
    return scaled.astype("<i2"), gain


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


def _table(rows: Sequence[dict[str, object]]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in COLUMNS.items()})


def _write_table(path: Path, table: pa.Table, sample_rate: int) -> None:
    with replacing(path) as beside:
        pq.write_table(table.replace_schema_metadata({"sample_rate": str(sample_rate)}), beside)
