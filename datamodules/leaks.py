"""Which recordings are on both sides: in training and in evaluation."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from datamodules.origins import HasOrigins


class Leak(NamedTuple):
    """One origin, such as "freesound:137692", found in two splits, with the names of its recordings in each."""

    origin: str
    seen: str
    seen_names: list[str]
    evaluated: str
    evaluated_names: list[str]


def find_leaks(parts: Sequence[tuple[str, HasOrigins]]) -> list[Leak]:
    """All origins that a split used in training shares with one used in evaluation, of the same data set or another.

    The validation split counts as evaluated when compared with training, and as seen when compared with test, since
    the checkpoint is chosen on it.

    Args:
        parts: label and data set.
    """
    sides: dict[str, list[tuple[str, dict[str, list[str]]]]] = {"train": [], "validation": [], "test": []}
    for label, part in parts:
        for split in part.splits:
            by_origin = defaultdict(list)
            for name, origin in part.origins(split).items():
                by_origin[origin].append(name)
            sides[split].append((f"{label} {split}", by_origin))
    leaks = []
    for seen, evaluated in (("train", "validation"), ("train", "test"), ("validation", "test")):
        for seen_label, seen_origins in sides[seen]:
            for evaluated_label, evaluated_origins in sides[evaluated]:
                for origin in sorted(seen_origins.keys() & evaluated_origins.keys()):
                    leaks.append(
                        Leak(origin, seen_label, seen_origins[origin], evaluated_label, evaluated_origins[origin])
                    )
    return leaks
