"""Sentence-BERT embeddings of captions: encoded once, kept in a memory-mapped table under a key of their content.

The key covers the model (name and revision of a hub model, content of a local one), the number format and every
caption in order, so a changed caption or local model never meets a stale table; of a hub model that changes, give the
revision. An interrupted encoding goes on where it stopped: rows are written chunk by chunk beside the final file, which
appears only when whole.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from relevance.errors import RelevanceError
from relevance.model_source import ModelSource, explain_unavailable, find_model, local_folder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DType = Literal["float32", "float16"]
FORMAT = 1
CHUNK = 2048  # captions between two savings


def default_cache_dir() -> Path:
    """`$AUDIO_RELEVANCE_CACHE`, else `audio-relevance` in the user's cache folder."""
    if chosen := os.environ.get("AUDIO_RELEVANCE_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "audio-relevance"


def model_fingerprint(model: str, revision: str | None) -> str:
    """What tells one Sentence-BERT from another: a hub name with its revision, or a hash of a local folder's files."""
    folder = local_folder(model)
    if folder is None:
        return f"{model}@{revision or 'main'}"
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        digest.update(str(file.relative_to(folder)).encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def table_key(captions: Sequence[str], fingerprint: str, dtype: DType) -> str:
    """Content key, 24 hex digits, of the table of these captions under this model."""
    digest = hashlib.sha256(json.dumps([FORMAT, fingerprint, dtype]).encode())
    for caption in captions:
        encoded = caption.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()[:24]


def load_sentence_bert(source: ModelSource, revision: str | None, device: str | None) -> "SentenceTransformer":
    """The Sentence-BERT model at `source`; imported here because a test of a finished model does not need it.

    Raises:
        RelevanceError: it cannot be found or loaded.
    """
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(
            source.name_or_path, revision=revision, device=device, local_files_only=source.local_files_only
        )
    except (OSError, ValueError, RuntimeError) as error:  # the hub's client raises all three
        raise RelevanceError("Sentence-BERT " + explain_unavailable(source.name_or_path, error)) from error


def embed_captions(
    captions: Sequence[str],
    model: str,
    *,
    revision: str | None = None,
    cache_dir: Path | None = None,
    dtype: DType = "float32",
    batch_size: int = 64,
    device: str | None = None,
    progress: bool = True,
) -> npt.NDArray[np.floating]:
    """Unit-length Sentence-BERT embeddings (C, D) of `captions`, memory-mapped, in `dtype`; row i is `captions[i]`.

    Equal captions are encoded once. Safe to call from several processes at once: one encodes, the others wait.

    Raises:
        RelevanceError: no captions, an empty caption, or a model that cannot be loaded.
    """
    if not captions:
        raise RelevanceError("there are no captions to embed")
    for index, caption in enumerate(captions):
        if not caption.strip():
            raise RelevanceError(f"caption {index} is empty: its similarity to others means nothing; mend the csv")
    folder = (cache_dir or default_cache_dir()) / "caption_embeddings"
    path = folder / f"{table_key(captions, model_fingerprint(model, revision), dtype)}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                encoder = load_sentence_bert(find_model(model, revision), revision, device)
                _encode_into(path, captions, encoder, np.dtype(dtype), batch_size, progress)
    try:
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
    except (ValueError, EOFError) as error:
        raise RelevanceError(f"{path}: is damaged ({error}); delete it to have the captions embedded anew") from error


def _encode_into(
    path: Path,
    captions: Sequence[str],
    encoder: "SentenceTransformer",
    dtype: np.dtype[np.floating],
    batch_size: int,
    progress: bool,
) -> None:
    """Fill `path` chunk by chunk, from the longest caption to the shortest; resume a former attempt's rows."""
    unique, inverse = np.unique(np.asarray(captions, dtype=object), return_inverse=True)
    order = np.argsort([-len(caption) for caption in unique], kind="stable")  # similar lengths share a batch
    partial, done_file = path.with_suffix(".partial"), path.with_suffix(".done")
    dim = encoder.get_embedding_dimension()
    shape = (len(unique), int(dim or 0))
    done = _rows_done(done_file) if partial.exists() else 0
    if not done:
        _reserve(partial, int(np.prod(shape)) * dtype.itemsize)
    rows = np.memmap(partial, dtype=dtype, mode="r+", shape=shape)
    with _progress_bar(progress, len(unique), done) as advance:
        for start in range(done, len(unique), CHUNK):
            chunk = order[start : start + CHUNK]
            with torch.inference_mode():
                embeddings = encoder.encode(
                    unique[chunk].tolist(), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
                )
            rows[chunk] = embeddings.astype(dtype)
            rows.flush()
            _write_text(done_file, str(start + len(chunk)))
            advance(len(chunk))
    if not np.isfinite(rows).all():
        raise RelevanceError(f"Sentence-BERT gave NaN or infinite embeddings; delete {partial} and mend the model")
    whole = path.with_suffix(".whole")
    with whole.open("wb") as stream:
        np.save(stream, rows[inverse])
    os.replace(whole, path)
    del rows
    partial.unlink()
    done_file.unlink()


def _rows_done(path: Path) -> int:
    """What a former attempt wrote down; 0 where it did not, or where a crash left the file empty."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdigit() else 0


def _reserve(path: Path, size: int) -> None:
    """Make a file of `size` bytes whose room on the disk is there: to write to a map without room kills the process."""
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            path.unlink()
            raise RelevanceError(
                f"{path.parent}: no room for {size / 1e6:.0f} MB of caption embeddings ({error.strerror}); free "
                "some, or set AUDIO_RELEVANCE_CACHE to another folder"
            ) from error


def _write_text(path: Path, text: str) -> None:
    """Write beside, then rename, so that a reader never sees half of it."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)


@contextlib.contextmanager
def _progress_bar(show: bool, total: int, done: int) -> Iterator["_Advance"]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not show) as bar:
        task = bar.add_task("embedding captions", total=total, completed=done)
        yield lambda count: bar.advance(task, count)


if TYPE_CHECKING:
    from collections.abc import Callable

    _Advance = Callable[[int], None]
