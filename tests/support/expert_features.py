"""Stores and archives of made-up features."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.annotated import AnnotatedDataModule
from datamodules.experts.store import FRAMES, Recording, write_store

Floats = npt.NDArray[np.float32]
FACTS = {"sample_rate": 16_000, "hop_seconds": 0.96, "weights_sha256": "0" * 64}


def made_up(name: str, dim: int) -> Floats:
    """One to three frames that follow from the name."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.standard_normal((1 + len(name) % 3, dim)).astype(np.float32)


def write_features(
    data: AnnotatedDataModule, folder: Path, expert: str, dim: int = 4, without: Sequence[str] = (), **facts: Any
) -> Path:
    """A store of all annotated recordings but some."""
    recordings: list[Recording] = [
        recording for split in data.splits for recording in data.recordings(split) if recording.name not in without
    ]
    frames = [made_up(recording.name, dim) for recording in recordings]
    folder.mkdir(parents=True)
    np.save(folder / FRAMES, np.concatenate(frames))
    write_store(folder, recordings, [len(rows) for rows in frames], {"expert": expert, **FACTS, **facts})
    return folder


def write_pickle(path: Path, content: object, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def write_hickle(path: Path, content: Mapping[str, Floats | float]) -> Path:
    """A dict as hickle 4 and 5 write it; ids with a slash become pairs, as HDF5 names cannot hold them."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        root = file.create_group("data")
        for number, (name, value) in enumerate(content.items()):
            if "/" in name:
                pair = root.create_group(f"data{number}")
                pair.create_dataset("data0", data=np.frombuffer(name.encode(), "S1")[None])
                pair.create_dataset("data1", data=value)
            else:
                root.create_dataset(f'"{name}"', data=value)
    return path
