"""Which recordings stand on both sides: trained on here, judged on there."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from datamodules.annotated import AnnotatedDataModule


class Leak(NamedTuple):
    """One origin, such as "freesound:137692", found in two splits, with the names of its recordings in each."""

    origin: str
    seen: str
    seen_names: list[str]
    judged: str
    judged_names: list[str]


def find_leaks(parts: Sequence[tuple[str, AnnotatedDataModule]]) -> list[Leak]:
    """All origins that a split which is trained on shares with one that is judged on, of the same data set or another.

    The validation split counts as judged on when compared with training, and as seen when compared with test, since
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
    for seen, judged in (("train", "validation"), ("train", "test"), ("validation", "test")):
        for seen_label, seen_origins in sides[seen]:
            for judged_label, judged_origins in sides[judged]:
                for origin in sorted(seen_origins.keys() & judged_origins.keys()):
                    leaks.append(Leak(origin, seen_label, seen_origins[origin], judged_label, judged_origins[origin]))
    return leaks
