"""Tables of one row a text: computed once, kept memory-mapped under a key of their content.

The key covers what made the rows (a fingerprint), the number format and every text in order, so a changed text or
encoder never gets a stale table. An interrupted computation continues where it stopped: rows are written chunk by chunk
beside the final file, which appears only when it is whole.
"""

import contextlib
import functools
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.atomic_files import replacing
from common.errors import CacheError

DType = Literal["float32", "float16"]
Encode = Callable[[list[str]], npt.NDArray[np.floating]]  # n texts to (n, D)
FORMAT = 1
CHUNK = 2048  # texts between two savings
HEADER = 128  # bytes of a .npy file before its rows
CHECKSUM = 32  # bytes of the SHA-256 behind its rows, where `np.load` does not look
BLOCK = 2**20  # bytes read at once


def table_key(texts: Sequence[str], fingerprint: str, dtype: DType) -> str:
    """Content key, 24 hex digits, of the table of these texts by this encoder."""
    digest = hashlib.sha256(json.dumps([FORMAT, fingerprint, dtype]).encode())
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()[:24]


def cached_table(
    texts: Sequence[str],
    encode: Encode,
    fingerprint: str,
    *,
    folder: Path,
    task: str,
    what: str,
    dtype: DType = "float32",
    chunk: int = CHUNK,
    progress: bool = True,
) -> npt.NDArray[np.floating]:
    """What `encode` gives for `texts`, (N, D) in `dtype`, memory-mapped, read-only; row i is of `texts[i]`.

    Equal texts are encoded once. Safe to call from several processes at once: one encodes, the others wait.

    Args:
        texts: N of them.
        encode: gives (n, D) for a list of n texts, with one D for all; each row must depend on its text alone. It is
            called with the longest texts first, and not at all where the table is there already, so it may load what it
            needs at its first call.
        fingerprint: tells this encoder, weights and settings, from all others.
        folder: where the table is kept.
        task: what the bar says.
        what: what messages call the rows.
        dtype: of the table.
        chunk: texts in a call of `encode`; at most so many are lost when the process is killed.
        progress: whether to show a bar.

    Raises:
        CacheError: no texts, a row that is not finite in `dtype`, no room on the disk, a folder that cannot be
            written to, or a damaged table.
    """
    if not texts:
        raise CacheError(f"there is nothing to compute {what} of")
    path = folder / f"{table_key(texts, fingerprint, dtype)}.npy"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    with _progress_bar(progress, task) as show:
                        _fill(path, texts, encode, np.dtype(dtype), chunk, show, what)
        except OSError as error:
            raise CacheError(
                f"{folder}: {what} cannot be written there ({error.strerror or error}); make room, or set "
                "AUDIO_RELEVANCE_CACHE to another folder (what was written is kept)"
            ) from error
    try:
        table: np.memmap[Any, np.dtype[np.floating]] = np.load(path, mmap_mode="r")
        state = path.stat()
        _check(path, table.offset + table.nbytes, state.st_size, state.st_mtime_ns)
    except (ValueError, EOFError) as error:
        raise CacheError(f"{path}: is damaged ({error}); delete it to have it made again") from error
    return table


@functools.cache  # a table is looked up several times, and reading it whole may take a minute
def _check(path: Path, size: int, on_disk: int, modified: int) -> None:
    """Whether a table's first `size` bytes are those of the checksum behind them; a file of 0.1.0 has none.

    Raises:
        ValueError: they are not.
    """
    if on_disk == size:
        return
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for start in range(0, size, BLOCK):
            digest.update(stream.read(min(BLOCK, size - start)))
        if stream.read() != digest.digest():
            raise ValueError("its checksum is another one")


def _fill(
    path: Path,
    texts: Sequence[str],
    encode: Encode,
    dtype: np.dtype[np.floating],
    chunk: int,
    show: Callable[[int, int], None],
    what: str,
) -> None:
    """Write `path` chunk by chunk, from the longest text to the shortest; keep a former attempt's rows."""
    unique = sorted(set(texts), key=lambda text: (-len(text), text))  # similar lengths share a batch
    encoded, done_file = path.with_suffix(".encoded"), path.with_suffix(".done")
    done = _rows_done(done_file) if encoded.exists() else 0
    show(done, len(unique))
    for start in range(done, len(unique), chunk):
        part = unique[start : start + chunk]
        with np.errstate(over="ignore"):
            rows = encode(part).astype(dtype)
        if not np.isfinite(rows).all():
            raise CacheError(f"{path.parent}: the model gave NaN or infinite {what}; fix the model")
        if start == 0:
            done_file.unlink(missing_ok=True)  # of a former attempt, whose rows are gone
            # Room for both files now: hours later it would be too late to learn that there is none.
            _reserve(encoded, len(unique) * rows[0].nbytes)
            _reserve(path.with_suffix(".whole"), HEADER + len(texts) * rows[0].nbytes + CHECKSUM)
        _write_rows(encoded, start, rows)
        _write_text(done_file, str(start + len(part)))
        show(start + len(part), len(unique))
    place = {text: row for row, text in enumerate(unique)}
    _save(path, encoded, len(unique), dtype, np.fromiter((place[text] for text in texts), np.int64))
    done_file.unlink()  # before the rows it speaks of
    encoded.unlink()


def _write_rows(encoded: Path, start: int, rows: npt.NDArray[np.floating]) -> None:
    """Put rows where the `start`-th begins."""
    with encoded.open("r+b") as stream:
        stream.seek(start * rows[0].nbytes)
        stream.write(rows.tobytes())
        stream.flush()
        os.fsync(stream.fileno())  # they must be there before the count of rows says so


def _save(path: Path, encoded: Path, count: int, dtype: np.dtype[np.floating], places: npt.NDArray[np.int64]) -> None:
    """Write the rows at `places` (C,) of `count` encoded ones as .npy beside `path`, block by block; then rename it.

    Not by `replacing`: the room for the file beside was reserved when the first chunk was written.
    """
    rows = np.memmap(encoded, dtype=dtype, mode="r").reshape(count, -1)
    whole = path.with_suffix(".whole")
    digest, beginning = hashlib.sha256(), io.BytesIO()
    with whole.open("r+b" if whole.exists() else "wb") as stream:
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (len(places), rows.shape[1]),
        }
        np.lib.format.write_array_header_1_0(beginning, header)
        blocks = (rows[places[start : start + CHUNK]].tobytes() for start in range(0, len(places), CHUNK))
        for block in itertools.chain([beginning.getvalue()], blocks):
            stream.write(block)
            digest.update(block)
        stream.write(digest.digest())
        stream.truncate()
    os.replace(whole, path)


def _rows_done(path: Path) -> int:
    """Rows that a former attempt wrote; 0 where there was none, or where a crash left the file empty."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdigit() else 0


def _reserve(path: Path, size: int) -> None:
    """Make a file of `size` bytes whose room on the disk is there.

    Raises:
        OSError: there is none.
    """
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            path.unlink()
            raise


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text)


@contextlib.contextmanager
def _progress_bar(show: bool, task: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if not show:
        yield lambda done, total: None
        return
    with Progress(*columns) as bar:
        line = bar.add_task(task, total=None)
        yield lambda done, total: bar.update(line, completed=done, total=total)
