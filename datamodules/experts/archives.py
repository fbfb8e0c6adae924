"""Archives of features as research groups publish them: a dict from recording id to (T, D) or (D,), NaN if missing.

Read are HDF5 files that hickle 3 to 5 wrote (`.hickle`, `.hkl`, `.h5`), without hickle, and pickles (`.pkl`,
`.pickle`), without running what they name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from common.text import cause_of
from datamodules.experts.safe_pickle import read_pickle

HDF5 = (".hickle", ".hkl", ".h5", ".hdf5")
ROOTS = ("data", "data_0")
"""Groups that hickle keeps a dict in."""


def read_archive(path: Path) -> Iterator[tuple[str, npt.NDArray[np.floating] | None]]:
    """(id, frames (T, D)) of each recording of an archive; None where it says NaN.

    Raises:
        DataError: no such file, another layout, or an entry that is no table of numbers that float32 can hold.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such archive of features; check the path")
    entries = _hickle(path) if path.suffix in HDF5 else _pickle(path)
    seen: set[str] = set()
    for name, value in entries:
        if name in seen:
            raise DataError(f"{path}: '{name}' comes twice; get the file again")
        seen.add(name)
        yield name, _frames(path, name, value)
    if not seen:
        raise DataError(f"{path}: holds no recordings; get the file again")


def read_raw_captions(path: Path) -> dict[str, list[str]]:
    """Captions of each recording in a `raw-captions.pkl`: a dict from id to sentences, or to lists of words.

    Raises:
        DataError: no such file, or another layout.
    """
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds no dict from ids to captions; get the file again")
    found: dict[str, list[str]] = {}
    for name, value in content.items():
        captions = [value] if isinstance(value, str) else value
        if not isinstance(captions, list | tuple) or not all(_is_caption(caption) for caption in captions):
            raise DataError(f"{path}: the captions of '{name}' are neither text nor lists of words; get the file again")
        found[str(name)] = [text if isinstance(text, str) else " ".join(text) for text in captions]
    return found


def _is_caption(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(word, str) for word in value))


def _pickle(path: Path) -> Iterator[tuple[str, Any]]:
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds no dict from ids to frames; get the file again")
    for name, value in content.items():
        yield str(name), value


def _hickle(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path}: HDF5 files need h5py; pip install 'audio-relevance[features]'") from error
    try:
        with h5py.File(path, "r") as file:
            root = next((file[name] for name in ROOTS if isinstance(file.get(name, getlink=False), h5py.Group)), None)
            if root is None:
                raise DataError(f"{path}: has none of the groups {', '.join(ROOTS)} of a hickled dict; get it again")
            for key, item in root.items():
                if isinstance(item, h5py.Group):  # a pair: ids that no HDF5 name can hold
                    parts = sorted(item.items())
                    if len(parts) == 1 and isinstance(parts[0][1], h5py.Dataset):  # hickle 3
                        yield key.strip("\"'"), parts[0][1][()]
                        continue
                    if len(parts) != 2 or not all(isinstance(part, h5py.Dataset) for _, part in parts):
                        raise DataError(f"{path}: '{key}' is no pair of id and frames; get the file again")
                    yield _text(parts[0][1][()]), parts[1][1][()]
                else:
                    yield key.strip("\"'"), item[()]
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path}: is no HDF5 file, or damaged ({cause_of(error)}); get it again") from error


def _text(value: Any) -> str:
    """An id that hickle keeps as an array of bytes."""
    return np.asarray(value).tobytes().decode("utf-8", "replace").rstrip("\0")


def _frames(path: Path, name: str, value: Any) -> npt.NDArray[np.floating] | None:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{path}: '{name}' is no table: its rows differ in length; get the file again") from error
    if array.dtype.kind not in "fiu" or array.ndim > 2:
        raise DataError(
            f"{path}: '{name}' is no table of numbers ({array.dtype}, shape {array.shape}); give an archive of frames "
            "(T, D) or vectors (D,)"
        )
    if array.ndim == 0 or (array.dtype.kind == "f" and array.size and np.isnan(array).all()) or not array.size:
        return None
    if not np.isfinite(array).all():
        raise DataError(f"{path}: '{name}' holds NaN or infinity among numbers; get the file again")
    with np.errstate(over="ignore"):
        frames = np.atleast_2d(array).astype(np.float32, copy=False)
    if not np.isfinite(frames).all():
        raise DataError(f"{path}: '{name}' holds numbers that are too large for float32; get the file again")
    return frames
