"""The file of nearest captions that `audio-relevance neighbours` writes, for training with it."""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.atomic_files import replacing
from common.errors import DataError
from datamodules.sampling.related_pairs import TextNeighbours

Ints = npt.NDArray[np.int64]


def captions_sha256(captions: Sequence[str]) -> str:
    """A hash of all captions in their order, by which a file of neighbours is known to be of them."""
    digest = hashlib.sha256()
    for caption in captions:
        encoded = caption.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def write_neighbours(
    path: Path,
    captions: Sequence[str],
    caption_ids: Ints,
    neighbours: Ints,
    similarity: npt.NDArray[np.float32],
    facts: Mapping[str, str | int],
) -> None:
    """Write the neighbours of some of a data set's captions: as a whole or not at all.

    The file is NumPy's .npz: `caption_ids` (N,) int64, `neighbours` (N, k) int64, -1 where there are no more,
    `similarity` (N, k) float32, and `facts`, JSON, with the number and the hash of all captions added.

    Args:
        path: ends in .npz.
        captions: all of the data set, index = caption id.
        caption_ids: (N,) those that have neighbours.
        neighbours: (N, k) caption ids by falling similarity.
        similarity: (N, k).
        facts: of the data set, the model and the search, for a reader of the file.

    Raises:
        DataError: it cannot be written.
    """
    known = {**facts, "captions": len(captions), "captions_sha256": captions_sha256(captions)}
    try:
        with replacing(path) as beside:
            np.savez(
                beside, caption_ids=caption_ids, neighbours=neighbours, similarity=similarity, facts=json.dumps(known)
            )
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); give another place") from error


def read_neighbours(path: Path, captions: Sequence[str], caption_ids: Ints) -> TextNeighbours:
    """The texts of pairs, as rows of `caption_ids`, and those nearest to them; equal captions are one text.

    A caption in the file stands for its text, so it need not be that of a pair, as where its audio is missing.

    Args:
        path: what `write_neighbours` wrote.
        captions: all of the data set, index = caption id.
        caption_ids: (P,) of the pairs.

    Raises:
        DataError: no such file, a damaged one, or one of other captions.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            theirs, neighbours = file["caption_ids"], file["neighbours"]
            known = facts["captions"], facts["captions_sha256"]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {_how_to_get(path)}") from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is no file of neighbours, or damaged ({error}); {_how_to_get(path)}") from error
    if known != (len(captions), captions_sha256(captions)):
        raise DataError(
            f"{path}: is of {known[0]} captions of {facts.get('data', 'another data set')}, not of the {len(captions)} "
            f"at hand, or of other words; {_how_to_get(path)}"
        )
    place = np.full(len(captions), -1)
    place[theirs] = np.arange(len(theirs))
    if (place[caption_ids] < 0).any():
        raise DataError(f"{path}: captions that are trained on are missing; {_how_to_get(path)}")
    numbers: dict[str, int] = {}
    text = np.array([*(numbers.setdefault(caption, len(numbers)) for caption in captions), -1])  # "none", -1, is last
    return TextNeighbours(text[caption_ids], text[neighbours[place[caption_ids]]])


def _how_to_get(path: Path) -> str:
    return f"write it with `audio-relevance neighbours --save {path}` and this data set as --data"
