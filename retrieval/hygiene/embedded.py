"""Embeddings of recordings, from any of the files that hold some, as unit vectors with their splits."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from common.errors import RunError
from datamodules.experts.store import ExpertStore
from experiments.results.embeddings_file import read_embeddings
from experiments.results.pool_file import read_pool

ORDER = {"train": 0, "validation": 1, "test": 2}


class Embedded(NamedTuple):
    """Recordings of one split as a model sees them.

    Attributes:
        label: of the file and the split.
        split: "train", "validation" or "test"; None where the file does not say it.
        model: what made the vectors; those of two models cannot be compared.
        names: N names.
        vectors: (N, D) float32 unit vectors.
    """

    label: str
    split: str | None
    model: str
    names: list[str]
    vectors: npt.NDArray[np.float32]


def read_embedded(path: Path) -> list[Embedded]:
    """The recordings of a file or folder, by split.

    Args:
        path: a store of features (`audio-relevance extract`), of which a recording's vector is the mean of its frames;
            a file of embeddings (`python train.py predict`); or a pool (pool_test.safetensors of a run).

    Raises:
        UserError: it is none of them, or its vectors cannot be compared by cosine similarity.
    """
    if path.is_dir():
        return _of_store(path)
    if path.suffix == ".safetensors":
        pool = read_pool(path)
        if pool.gates or pool.audio.ndim != 2:
            raise RunError(f"{path}: holds several vectors a recording; give features or embeddings of another model")
        split = path.stem.removeprefix("pool_")
        made_by = str(path.resolve().parent)
        return [_unit(path, split if split in ORDER else None, made_by, pool.names, pool.audio.float().numpy())]
    try:
        embeddings = read_embeddings(path)
    except RunError as error:  # its remedies are those of `predict`
        cause = str(error).partition(";")[0]
        raise RunError(
            f"{cause}; give a store of features, a file of `python train.py predict`, or a run's pool"
        ) from error
    if embeddings.facts.get("unit_length", "true") == "false":
        raise RunError(f"{path}: its embeddings are no vectors for cosine similarity; give those of another model")
    names = embeddings.table["name"].to_pylist()
    return [_unit(path, None, embeddings.facts["audio_weights_sha256"], names, embeddings.vectors)]


def _of_store(folder: Path) -> list[Embedded]:
    store = ExpertStore(folder)
    made_by = str(store.facts.get("weights_sha256") or store.facts.get("expert") or folder)
    found = []
    for split in sorted({split for split, _ in store.rows}, key=lambda name: ORDER.get(name, len(ORDER))):
        names = [name for where, name in store.rows if where == split and store.rows[where, name][1]]
        if names:
            means = np.stack([store.of(split, name).mean(0) for name in names])
            found.append(_unit(folder, split if split in ORDER else None, made_by, names, means, f" {split}"))
    return found


def _unit(
    path: Path, split: str | None, model: str, names: list[str], vectors: npt.NDArray[np.float32], of: str = ""
) -> Embedded:
    """Vectors brought to length 1.

    Raises:
        RunError: one is zero, or holds NaN or inf.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    odd = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(odd):
        raise RunError(f"{path}: the vector of '{names[odd[0]]}' is zero or holds NaN; leave the recording out")
    return Embedded(f"{path}{of}", split, model, names, (vectors / lengths).astype(np.float32))
