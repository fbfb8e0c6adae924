"""The file of a search index: windows of recordings and their embeddings, mapped into memory, whole or not there."""

import logging
import shutil
import uuid
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from common.atomic_files import replacing
from common.errors import RunError
from experiments.results.embeddings_file import Stamp

log = logging.getLogger(__name__)

DECISIVE = ("audio_weights_sha256", "audio_encoder", "sample_rate", "window", "hop", "mix")
"""Facts that decide what the embedding of a window is."""
COLUMNS = ("name", "path", "bytes", "modified", "seconds", "windows", "start", "embedding")


class Windows(NamedTuple):
    """Recordings cut into windows, as a model sees them.

    Attributes:
        table: one row a window, those of a recording one after the other: name, path strings, bytes, modified int64
            (see `Stamp`), seconds float64 of the recording, windows int32 of the recording, start float64 in s of this
            one, embedding fixed-size list of float32.
        facts: what made them (`DECISIVE`), and "shape" of an embedding ("512", or "7,256" for several vectors).
    """

    table: pa.Table
    facts: dict[str, str]

    @property
    def vectors(self) -> npt.NDArray[np.float32]:
        """The embeddings (V, ...), read from the disk as they are needed where the table is."""
        column = self.table["embedding"]
        whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        shape = [int(size) for size in self.facts["shape"].split(",")]
        vectors: npt.NDArray[np.float32] = whole.flatten().to_numpy().reshape(len(column), *shape)
        return vectors


def window_table(
    names: Sequence[str],
    stamps: Sequence[Stamp],
    seconds: Sequence[float],
    counts: Sequence[int],
    starts: Sequence[float],
    vectors: npt.NDArray[np.float32],
) -> pa.Table:
    """The table of V windows and their embeddings (V, ...); see `Windows`."""
    flat = np.ascontiguousarray(vectors, dtype=np.float32).reshape(len(vectors), -1)
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "path": pa.array([stamp.path for stamp in stamps], pa.string()),
            "bytes": pa.array([stamp.bytes for stamp in stamps], pa.int64()),
            "modified": pa.array([stamp.modified for stamp in stamps], pa.int64()),
            "seconds": pa.array(seconds, pa.float64()),
            "windows": pa.array(counts, pa.int32()),
            "start": pa.array(starts, pa.float64()),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1]),
        }
    )


def write_windows(path: Path, windows: Windows) -> None:
    """Write windows as an Arrow file of one block, with the facts, a checksum and an id of its own as metadata."""
    table = windows.table.combine_chunks()
    facts = {**windows.facts, "crc32": str(_checksum(table)), "id": uuid.uuid4().hex}
    table = table.replace_schema_metadata(facts)
    with replacing(path) as beside, pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))


def read_windows(path: Path) -> Windows:
    """What `write_windows` wrote; the embeddings stay on the disk until they are needed.

    Raises:
        RunError: the file is another one, or damaged.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        stored = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        facts = {"hop": "None", **stored}  # older files do not name it
        if set(COLUMNS) - set(table.column_names) or {*DECISIVE, "crc32", "id", "shape"} - set(facts):
            raise RunError(f"{path}: holds something else than a search index; delete it")
        if str(_checksum(table)) != facts["crc32"]:
            raise RunError(f"{path}: is damaged (its embeddings are not what was written); delete it")
        return Windows(table.replace_schema_metadata(None), facts)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); delete it") from error


def parts_folder(path: Path) -> Path:
    """Where the parts of an index lie that is being made."""
    return path.with_name(f"{path.name}.parts")


def still_valid(path: Path, stamps: Mapping[str, Stamp], facts: Mapping[str, str]) -> tuple[Windows | None, bool]:
    """Windows, of a file and its parts, of recordings that are there and have not changed, in the order of `stamps`.

    Only recordings with all their windows count. What cannot be read is deleted, with a warning: it is there to save
    time only. Also says whether this is the file itself, so that nothing has to be written.
    """
    found: list[Windows] = []
    for file in ([path] if path.exists() else []) + sorted(parts_folder(path).glob("[!.]*.arrow")):
        try:
            windows = read_windows(file)
        except RunError:
            log.warning("%s: cannot be read, so its recordings are embedded again", file)
            file.unlink(missing_ok=True)
            continue
        if len(windows.table) and all(windows.facts[fact] == facts[fact] for fact in DECISIVE):
            found.append(windows)
    if not found:
        return None, False
    table = pa.concat_tables([windows.table for windows in found])
    columns = (table[name].to_pylist() for name in ("name", "path", "bytes", "modified", "windows"))
    rows: dict[str, list[int]] = {}
    wanted: dict[str, int] = {}
    for row, (name, *stamp, count) in enumerate(zip(*columns, strict=True)):
        if stamps.get(name) == (*stamp,) and stamps[name].bytes:
            rows.setdefault(name, []).append(row)
            wanted[name] = count
    order = [row for name in stamps if len(rows.get(name, [])) == wanted.get(name, -1) for row in rows[name]]
    if not order:
        return None, False
    if len(found) == 1 and order == list(range(len(table))):
        return found[0], path.exists() and not parts_folder(path).exists()
    return Windows(table.take(order), {**found[0].facts}), False


def drop_parts(path: Path) -> None:
    """Delete the parts of an index."""
    shutil.rmtree(parts_folder(path), ignore_errors=True)


def as_tensor(vectors: npt.NDArray[np.float32]) -> torch.Tensor:
    """The same numbers (V, ...) as a tensor, not copied, to be read only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not writable.*")  # nothing writes to it
        return torch.from_numpy(vectors)


def _checksum(table: pa.Table) -> int:
    """Of all embeddings, read once through: a second for a million vectors of 512 numbers."""
    checksum = 0
    for chunk in table["embedding"].chunks:
        checksum = zlib.crc32(chunk.flatten().to_numpy().view(np.uint8).data, checksum)
    return checksum
