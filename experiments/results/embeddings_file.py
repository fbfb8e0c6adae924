"""Embeddings of recordings in a parquet file: one row a recording, and facts on what made them."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from common.atomic_files import replacing
from common.errors import RunError
from common.text import cause_of
from experiments.provenance import weights_sha256

log = logging.getLogger(__name__)

COLUMNS = ("name", "path", "seconds", "bytes", "modified", "embedding")
DECISIVE = ("audio_weights_sha256", "audio_encoder", "sample_rate", "max_seconds", "precision")
"""Facts that decide what the embedding of a recording is."""
STAMP = ("name", "path", "bytes", "modified")
"""Columns that show whether the embedding of a recording is still valid."""


class Stamp(NamedTuple):
    """What identifies a file and its state.

    Size and time alone are not enough, since archives may give all files one time. Not noticed is only a file that was
    replaced by another one of the same size and time: delete the embeddings then.

    Attributes:
        path: where it lies, with all links followed.
        bytes: its size; 0: there is no such file, or nothing in it.
        modified: when it was written, in ns since 1970.
    """

    path: str
    bytes: int
    modified: int


class Embeddings(NamedTuple):
    """Recordings as a model sees them.

    Attributes:
        table: one row a recording: name string, path string, seconds float64, bytes and modified int64 (see `Stamp`),
            embedding fixed-size list of D float32, a unit vector where the fact says so.
        facts: what made them: "checkpoint", "audio_weights_sha256", "audio_encoder" (JSON), "sample_rate" (Hz),
            "max_seconds" (of longer recordings only the beginning was embedded), "precision", "unit_length"
            (false: parts of several experts and their gates, which are no vectors for cosine similarity).
    """

    table: pa.Table
    facts: dict[str, str]

    @property
    def vectors(self) -> npt.NDArray[np.float32]:
        """All embeddings (A, D)."""
        column = self.table["embedding"].combine_chunks()
        vectors: npt.NDArray[np.float32] = column.flatten().to_numpy().reshape(len(column), column.type.list_size)
        return vectors

    def cut(self) -> int:
        """How many recordings are longer than `max_seconds`, so that their beginning stands for them."""
        limit = self.facts["max_seconds"]
        return 0 if limit == "None" else int((self.table["seconds"].to_numpy() > float(limit)).sum())


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file."""
    place = os.path.realpath(path).encode("utf-8", "backslashreplace").decode()  # a link may lead to any name
    try:
        status = path.stat()
    except OSError:
        return Stamp(place, 0, 0)
    return Stamp(place, status.st_size, status.st_mtime_ns)


def audio_weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Checksum of what embeds audio: names, types, shapes and values of the tensors called `audio_...`, and of the
    matcher's but those called `text_...`.
    """
    own = {
        name.removeprefix("matcher."): tensor
        for name, tensor in state.items()
        if name.startswith(("audio_", "matcher.")) and not name.startswith("matcher.text_")
    }
    return weights_sha256(own)


def finite_rows(names: Sequence[str], vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which embeddings (A, ...) can be kept: (A,). Those that are NaN or infinite are named in a warning."""
    finite = np.asarray(np.isfinite(vectors).reshape(len(vectors), -1).all(axis=1), np.bool_)
    for name in dict.fromkeys(name for name, kept in zip(names, finite, strict=True) if not kept):
        log.warning("left out: the model gives NaN for '%s'; listen to it, or look at its samples", name)
    return finite


def embedding_table(
    names: Sequence[str], stamps: Sequence[Stamp], seconds: Sequence[float], vectors: npt.NDArray[np.float32]
) -> pa.Table:
    """The table of A recordings and their embeddings (A, D); see `Embeddings`."""
    values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "path": pa.array([stamp.path for stamp in stamps], pa.string()),
            "seconds": pa.array(seconds, pa.float64()),
            "bytes": pa.array([stamp.bytes for stamp in stamps], pa.int64()),
            "modified": pa.array([stamp.modified for stamp in stamps], pa.int64()),
            "embedding": pa.FixedSizeListArray.from_arrays(values, vectors.shape[1]),
        }
    )


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write embeddings, with the facts as the file's metadata."""
    with replacing(path) as beside:
        pq.write_table(embeddings.table.replace_schema_metadata(embeddings.facts), beside, write_page_checksum=True)


def read_embeddings(path: Path, columns: Sequence[str] = COLUMNS) -> Embeddings:
    """What `write_embeddings` wrote, or some columns of it.

    Raises:
        RunError: there is none, or the file is another one or damaged.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise RunError(f"{path}: {what}; give the file that `python train.py predict` wrote or is to write")
    try:
        schema = pq.read_schema(path)
        facts = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        if not (set(COLUMNS) <= set(schema.names) and facts.keys() >= set(DECISIVE)):
            raise RunError(f"{path}: holds something else than embeddings; name another file with --run.embeddings")
        return Embeddings(
            pq.read_table(path, columns=list(columns), page_checksum_verification=True).replace_schema_metadata(None),
            facts,
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = cause_of(error)
        remedy = "delete it, or name another file with --run.embeddings"
        raise RunError(f"{path}: cannot be read ({cause}); {remedy}") from error


def parts_folder(path: Path) -> Path:
    """Where the parts of a file lie that is being made."""
    return path.with_name(f"{path.name}.parts")


def check_nothing_lost(path: Path, stamps: Mapping[str, Stamp], facts: Mapping[str, str]) -> None:
    """Whether the embeddings of these recordings may take a file's place: it is not there, or is of the same source.

    That is: of the same decisive facts, and some of its recordings are among these, under their names; all the others
    were deleted. Parts that a killed run left are no results yet, and are not looked at.

    Raises:
        RunError: it is of another model, crops, folder or data set; or as `read_embeddings`.
    """
    if not path.exists():
        return
    held = read_embeddings(path, STAMP)
    remedy = "name another file with --run.embeddings, or replace it with --run.overwrite true"
    changed = [fact for fact in DECISIVE if held.facts[fact] != facts[fact]]
    if {"audio_weights_sha256", "audio_encoder"} & set(changed):
        raise RunError(f"{path}: was embedded by another model than {facts['checkpoint']}; {remedy}")
    if changed:
        differences = ", ".join(f"{fact} {held.facts[fact]}, not {facts[fact]}" for fact in changed)
        raise RunError(f"{path}: was embedded with {differences}; {remedy}")
    rows = zip(held.table["name"].to_pylist(), held.table["path"].to_pylist(), strict=True)
    dropped = [place for name, place in rows if name not in stamps or stamps[name].path != place]
    # With none in common it is another source, even one that is not here now, such as a disk that was taken out.
    lost = dropped if len(dropped) == len(held.table) else [place for place in dropped if os.path.exists(place)]
    if lost:
        raise RunError(f"{path}: holds {len(lost)} recordings of another folder or data set ({lost[0]}); {remedy}")


def still_valid(
    path: Path, stamps: Mapping[str, Stamp], facts: Mapping[str, str], columns: Sequence[str] = COLUMNS
) -> pa.Table | None:
    """Rows of a file and of its parts that need not be made again, one for each name, in the order of `stamps`.

    They are of the same decisive facts, and their recording is there and has not changed. None: there are none. Parts
    that cannot be read are left, with a warning: what they hold is made again.

    Args:
        path: the file.
        stamps: of the recordings, by name.
        facts: see `Embeddings`.
        columns: to read; `STAMP` at least.

    Raises:
        RunError: as `read_embeddings`.
    """
    found = [read_embeddings(path, columns)] if path.exists() else []
    for part in sorted(parts_folder(path).glob("[!.]*.parquet")):
        try:
            found.append(read_embeddings(part, columns))
        except RunError:
            log.warning("%s: cannot be read, so its recordings are embedded again", part)
    tables = [part.table for part in found if all(part.facts[fact] == facts[fact] for fact in DECISIVE)]
    if not tables:
        return None
    table = pa.concat_tables(tables)
    rows = {}
    for row, (name, *stamp) in enumerate(zip(*(table[name].to_pylist() for name in STAMP), strict=True)):
        if stamps.get(name) == (*stamp,) and stamps[name].bytes:
            rows[name] = row
    return table.take([rows[name] for name in stamps if name in rows]) if rows else None


def merge_parts(path: Path, stamps: Mapping[str, Stamp], facts: Mapping[str, str]) -> Embeddings:
    """Make one file of what is `still_valid`, and delete the parts.

    Raises:
        RunError: as `read_embeddings`, or nothing is valid.
    """
    table = still_valid(path, stamps, facts)
    if table is None:
        raise RunError(f"{path}: not written, since none of {len(stamps)} recordings could be embedded")
    merged = Embeddings(table, dict(facts))
    write_embeddings(path, merged)
    shutil.rmtree(parts_folder(path), ignore_errors=True)
    return merged
