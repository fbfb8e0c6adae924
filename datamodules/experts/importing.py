"""Archives of features into a store of this framework, matched with the recordings of a data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.progress import track

from common.atomic_files import replacing
from common.errors import DataError
from common.filled_folder import filling
from datamodules.annotated import AnnotatedDataModule
from datamodules.experts.archives import read_archive
from datamodules.experts.store import (
    FACTS,
    FRAMES,
    RECORDINGS,
    Recording,
    recordings_checksum,
    sha256_of,
    write_header,
    write_store,
)


class Imported(NamedTuple):
    """How many recordings of a data set are in the store, and names of those absent from the archive, or NaN there."""

    imported: int
    absent: list[str]
    missing: list[str]


def import_archive(
    data: AnnotatedDataModule, archive: Path, folder: Path, facts: Mapping[str, Any], dtype: str = "float16"
) -> Imported:
    """Write a store of the recordings of a data set that an archive has frames of.

    Args:
        data: whose recordings are looked for, by `feature_ids`.
        archive: what `read_archive` reads.
        folder: of the store; anything that is there already is refused, unless it was left unfinished.
        facts: about the expert.
        dtype: of the frames that are written.

    Raises:
        DataError: the archive cannot be read, has frames of several sizes, or none of the data set.
    """
    if (folder / FACTS).exists():
        raise DataError(f"{folder}: holds a store already; give another folder, or delete it")
    with filling(folder, FRAMES, RECORDINGS):
        return _import(data, archive, folder, facts, dtype)


def _import(data: AnnotatedDataModule, archive: Path, folder: Path, facts: Mapping[str, Any], dtype: str) -> Imported:
    data.prepare_data()
    recordings = [recording for split in data.splits for recording in data.recordings(split)]
    found = dict(track(read_archive(archive), "reading", transient=True))
    dims = sorted({frames.shape[1] for frames in found.values() if frames is not None})
    if len(dims) != 1:
        raise DataError(f"{archive}: has frames of {dims or 'no'} dimensions; give one whose frames have all one size")
    listed: list[Recording] = []
    frames: list[npt.NDArray[np.floating]] = []
    absent: list[str] = []
    missing: list[str] = []
    for recording in recordings:
        ids = [name for name in data.feature_ids(recording.split, recording.name) if name in found]
        rows = found[ids[0]] if ids else None
        if rows is None:
            (missing if ids else absent).append(recording.name)
            continue
        listed.append(recording)
        frames.append(rows)
    if not listed:
        example = next(iter(found))
        raise DataError(
            f"{archive}: has none of the {len(recordings)} recordings (one of its ids is '{example}', one of the data "
            f"set's '{recordings[0].name}'); give the archive of this data set"
        )
    with replacing(folder / FRAMES) as beside, beside.open("wb") as file:
        write_header(file, dtype, sum(map(len, frames)), dims[0])
        for rows, recording in zip(frames, listed, strict=True):
            with np.errstate(over="ignore"):
                written = rows.astype(dtype)
            if not np.isfinite(written).all():
                raise DataError(
                    f"{archive}: frames of '{recording.name}' are too large for {dtype}; give --dtype float32"
                )
            file.write(written.tobytes())
    source = {"archive": archive.name, "archive_sha256": sha256_of(archive)}
    whole = {**facts, **source, "data_set": type(data).__name__, "data_sha256": recordings_checksum(recordings)}
    write_store(folder, listed, list(map(len, frames)), whole)
    return Imported(len(listed), absent, missing)
