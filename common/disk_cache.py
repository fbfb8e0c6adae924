"""Tables of one row a caption: encoded once, kept memory-mapped under a key of their content, by any encoder.

The key covers what made the rows (a fingerprint), the number format and every caption in order, so a changed caption
or encoder never meets a stale table. An interrupted encoding goes on where it stopped: rows are written chunk by chunk
beside the final file, which appears only when whole.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.errors import RelevanceError

DType = Literal["float32", "float16"]
Encode = Callable[[list[str]], npt.NDArray[np.floating]]  # n captions to (n, D)
FORMAT = 1
CHUNK = 2048  # captions between two savings
HEADER = 128  # bytes of a .npy file before its rows


def table_key(captions: Sequence[str], fingerprint: str, dtype: DType) -> str:
    """Content key, 24 hex digits, of the table of these captions under this encoder."""
    digest = hashlib.sha256(json.dumps([FORMAT, fingerprint, dtype]).encode())
    for caption in captions:
        encoded = caption.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()[:24]


def cached_table(
    captions: Sequence[str],
    encode: Encode,
    fingerprint: str,
    *,
    folder: Path,
    dtype: DType = "float32",
    chunk: int = CHUNK,
    progress: bool = True,
    task: str = "embedding captions",
    what: str = "caption embeddings",
) -> npt.NDArray[np.floating]:
    """What `encode` gives for `captions`, (C, D) in `dtype`, memory-mapped, read-only; row i is of `captions[i]`.

    Equal captions are encoded once. Safe to call from several processes at once: one encodes, the others wait.

    Args:
        captions: C of them.
        encode: gives (n, D) for a list of n captions, with one D for all; each row must depend on its caption alone. It
            is called with the longest captions first, and not at all where the table is there already, so it may load
            its model at its first call.
        fingerprint: tells this encoder, weights and settings, from all others.
        folder: where the table is kept.
        dtype: of the table.
        chunk: captions a call of `encode`; so many are lost at most when the process is killed.
        progress: whether to show a bar.
        task: what the bar says.
        what: what messages call the rows.

    Raises:
        RelevanceError: no captions, a row that is not finite in `dtype`, no room on the disk, a folder that cannot be
            written to, or a damaged table.
    """
    if not captions:
        raise RelevanceError("there are no captions to embed")
    path = folder / f"{table_key(captions, fingerprint, dtype)}.npy"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    with _progress_bar(progress, task) as show:
                        _fill(path, captions, encode, np.dtype(dtype), chunk, show, what)
        except OSError as error:
            raise RelevanceError(
                f"{folder}: {what} cannot be written there ({error.strerror or error}); make room, or set "
                "AUDIO_RELEVANCE_CACHE to another folder (what was written is kept)"
            ) from error
    try:
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
    except (ValueError, EOFError) as error:
        raise RelevanceError(f"{path}: is damaged ({error}); delete it to have it made anew") from error


def _fill(
    path: Path,
    captions: Sequence[str],
    encode: Encode,
    dtype: np.dtype[np.floating],
    chunk: int,
    show: Callable[[int, int], None],
    what: str,
) -> None:
    """Write `path` chunk by chunk, from the longest caption to the shortest; resume a former attempt's rows."""
    unique = sorted(set(captions), key=lambda caption: (-len(caption), caption))  # similar lengths share a batch
    encoded, done_file = path.with_suffix(".encoded"), path.with_suffix(".done")
    done = _rows_done(done_file) if encoded.exists() else 0
    show(done, len(unique))
    for start in range(done, len(unique), chunk):
        texts = unique[start : start + chunk]
        with np.errstate(over="ignore"):
            rows = encode(texts).astype(dtype)
        if not np.isfinite(rows).all():
            raise RelevanceError(f"{path.parent}: the model gave NaN or infinite {what}; mend the model")
        if start == 0:
            done_file.unlink(missing_ok=True)  # of a former attempt, whose rows are gone
            # Room for both files now: hours later it would be too late to hear that there is none.
            _reserve(encoded, len(unique) * rows[0].nbytes)
            _reserve(path.with_suffix(".whole"), HEADER + len(captions) * rows[0].nbytes)
        _write_rows(encoded, start, rows)
        _write_text(done_file, str(start + len(texts)))
        show(start + len(texts), len(unique))
    place = {caption: row for row, caption in enumerate(unique)}
    _save(path, encoded, len(unique), dtype, np.fromiter((place[caption] for caption in captions), np.int64))
    done_file.unlink()  # before the rows it speaks of
    encoded.unlink()


def _write_rows(encoded: Path, start: int, rows: npt.NDArray[np.floating]) -> None:
    """Put rows where the `start`-th begins."""
    with encoded.open("r+b") as stream:
        stream.seek(start * rows[0].nbytes)
        stream.write(rows.tobytes())
        stream.flush()
        os.fsync(stream.fileno())  # they must be there before a mark says so


def _save(path: Path, encoded: Path, count: int, dtype: np.dtype[np.floating], places: npt.NDArray[np.int64]) -> None:
    """Write the rows at `places` (C,) of `count` encoded ones as .npy beside `path`, block by block; then rename it."""
    rows = np.memmap(encoded, dtype=dtype, mode="r").reshape(count, -1)
    whole = path.with_suffix(".whole")
    with whole.open("r+b" if whole.exists() else "wb") as stream:
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (len(places), rows.shape[1]),
        }
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(places), CHUNK):
            stream.write(rows[places[start : start + CHUNK]].tobytes())
        stream.truncate()
    os.replace(whole, path)


def _rows_done(path: Path) -> int:
    """What a former attempt wrote down; 0 where it did not, or where a crash left the file empty."""
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
    """Write beside, then rename, so that a reader never sees half of it."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)


@contextlib.contextmanager
def _progress_bar(show: bool, task: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if not show:
        yield lambda done, total: None
        return
    with Progress(*columns) as bar:
        line = bar.add_task(task, total=None)
        yield lambda done, total: bar.update(line, completed=done, total=total)
