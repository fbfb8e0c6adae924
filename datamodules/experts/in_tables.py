"""Frames of the recordings of a split's table, out of one store or, in a mixture, several."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from datamodules.experts.store import ExpertStore, Recording

log = logging.getLogger(__name__)
SAME = ("sample_rate", "hop_seconds", "dim", "weights_sha256")
"""Facts that stores of one expert must share where they are used together."""


class ExpertFrames(NamedTuple):
    """Frames of the recordings of a table.

    Attributes:
        stores: where the frames lie; one for each data set.
        places: for each row of the table the number of its store, and the recording's split and name in it.
    """

    stores: tuple[ExpertStore, ...]
    places: tuple[tuple[int, str, str], ...]

    def of(self, audio_row: int) -> npt.NDArray[np.float32]:
        """Frames (T, D) of the recording in a row; T is 0 where the expert has nothing of it."""
        store, split, name = self.places[audio_row]
        return self.stores[store].of(split, name)

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What the stores say of themselves, for the manifest."""
        return [store.facts for store in self.stores]


def open_stores(experts: Mapping[str, str]) -> dict[str, ExpertStore]:
    """The stores that `data.experts` names, in alphabetical order of the experts.

    Raises:
        DataError: one cannot be used, or is of another expert than its name says.
    """
    stores = {name: ExpertStore(Path(experts[name]).expanduser()) for name in sorted(experts)}
    for name, store in stores.items():
        if (stored := store.facts.get("expert")) != name:
            raise DataError(
                f"{store.folder}: holds features of expert '{stored}', but data.experts calls it '{name}'; give its "
                "own name"
            )
    return stores


def present_in(stores: Mapping[str, ExpertStore], recordings: Sequence[Recording]) -> list[bool]:
    """Of each recording of a split, whether any store lists it.

    Raises:
        DataError: a store lists none of them, or some with other captions: it was made of another data set.
    """
    listed = {name: [store.describes(recording) for recording in recordings] for name, store in stores.items()}
    for name, present in listed.items():
        if not any(present) and recordings:
            raise DataError(
                f"{stores[name].folder}: lists none of the {len(recordings)} {recordings[0].split} recordings, so it "
                f"is a store of another data set; extract or import one of this data set for expert '{name}'"
            )
        if absent := present.count(False):
            log.warning("%s: %d of %d recordings have no features", stores[name].folder, absent, len(present))
    return [any(marks) for marks in zip(*listed.values(), strict=True)]


def joined(parts: Sequence[Mapping[str, ExpertFrames]]) -> dict[str, ExpertFrames]:
    """Frames of several tables, one below the other.

    Raises:
        DataError: the tables have other experts, or stores of one expert that do not fit together.
    """
    names = sorted({name for part in parts for name in part})
    if any(sorted(part) != names for part in parts):
        raise DataError(f"data.parts: each needs the same experts ({', '.join(names)}); give data.parts.experts to all")
    found = {}
    for name in names:
        stores = tuple(store for part in parts for store in part[name].stores)
        for store in stores[1:]:
            _check_alike(name, stores[0], store)
        places: list[tuple[int, str, str]] = []
        first = 0
        for part in parts:
            places += [(first + number, split, key) for number, split, key in part[name].places]
            first += len(part[name].stores)
        found[name] = ExpertFrames(stores, tuple(places))
    return found


def _check_alike(name: str, one: ExpertStore, other: ExpertStore) -> None:
    for key in SAME:
        if one.facts.get(key) != other.facts.get(key):
            raise DataError(
                f"{other.folder}: {key} of expert '{name}' is {other.facts.get(key)}, but {one.facts.get(key)} in "
                f"{one.folder}; extract both with the same model"
            )
