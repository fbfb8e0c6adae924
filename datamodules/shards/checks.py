"""Whether a shard is the one that its index describes, by a few reads of it; else another recording would be heard."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.errors import DataError
from datamodules.audio import PACK

REMEDY = f"copy it there again, or run the same {PACK} again"


def check_shards(folder: Path, table: pa.Table) -> None:
    """Whether each shard is there, has its size, and its first and last recording where the table says.

    Args:
        folder: of the shards.
        table: rows of an index, with the columns split, name, shard, offset, frames, error and shard_bytes.

    Raises:
        DataError: a shard is missing, or differs from its index.
    """
    packed = table.filter(pc.is_null(table["error"])).sort_by([("shard", "ascending"), ("offset", "ascending")])
    if len(packed) == 0:
        return
    shards = packed["shard"].combine_chunks().dictionary_encode().indices.to_numpy()  # (N,), ascending
    begins = np.flatnonzero(np.diff(shards, prepend=-1))
    ends = np.append(begins[1:], len(shards)) - 1
    for first, last in zip(packed.take(begins).to_pylist(), packed.take(ends).to_pylist(), strict=True):
        path = folder / first["shard"]
        try:
            with path.open("rb") as file:
                fault = _fault(file, first, last)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}), but its index names it; {REMEDY}") from error
        if fault is not None:
            raise DataError(f"{path}: is not the shard that its index describes ({fault}); {REMEDY}")


def _fault(file: BinaryIO, first: dict[str, Any], last: dict[str, Any]) -> str | None:
    """What is wrong with a shard whose first and last recording these rows describe."""
    size = os.fstat(file.fileno()).st_size
    if first["shard_bytes"] not in (None, size):  # an older version did not keep it
        return f"it has {size} bytes, not {first['shard_bytes']}"
    for row in (first, last):
        # The .json follows the .wav: if it is found there, the number of samples is right.
        end = row["offset"] + 2 * row["frames"]
        file.seek(end + -end % tarfile.BLOCKSIZE)
        try:
            header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "strict")
        except tarfile.TarError:
            return f"it holds no '{row['name']}' ({row['split']}) where it should"
        if other := other_recording(file.read(header.size), row["split"], row["name"]):
            return other
    return None


def other_recording(content: bytes, split: str, name: str) -> str | None:
    """In words, that the .json of a shard is about another recording than this one; None if it is about this one.

    >>> other_recording(b'{"name": "dog.wav", "split": "train", "captions": ["A dog barks."]}', "train", "dog.wav")
    >>> other_recording(b'{"name": "dog.wav", "split": "train", "captions": ["A dog barks."]}', "test", "sea.wav")
    "it holds 'dog.wav' (train) instead of 'sea.wav' (test)"
    """
    try:
        about = json.loads(content)
        found = f"'{about['name']}' ({about['split']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        found = "something else"
    wanted = f"'{name}' ({split})"
    return None if found == wanted else f"it holds {found} instead of {wanted}"
