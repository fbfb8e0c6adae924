"""What is checked before a test is trusted: origins, pretrained models, captions, and audio."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from common.errors import RunError
from datamodules.annotated import AnnotatedDataModule
from datamodules.leaks import Leak, find_leaks
from datamodules.origins import HasOrigins
from evaluation.equal_captions import EqualCaptions, equal_captions
from evaluation.near_duplicates import NearDuplicates, near_duplicates
from lightning_modules.pairs.training_data import Said, maybe_heard, splits_said
from retrieval.hygiene.embedded import ORDER, Embedded


class Part(NamedTuple):
    """A data set, or a list of ids.

    Attributes:
        label: what the report calls it; its first word is what lists of training data call it.
        data: the data set.
    """

    label: str
    data: HasOrigins

    @property
    def kind(self) -> str:
        """The data set, whatever its version."""
        return self.label.partition(" ")[0]


class SplitSize(NamedTuple):
    """How much a split holds, and of how many recordings the origin is known."""

    split: str
    recordings: int
    captions: int | None
    known: int


class PoolCaptions(NamedTuple):
    """Equal captions of an evaluated split, and how many of its captions a training recording has, letter by letter."""

    split: str
    found: EqualCaptions
    in_training: int


class Heard(NamedTuple):
    """What a pretrained model has heard of a test split.

    Attributes:
        model: its name.
        split: label of the test split, which has `recordings` recordings of known origin.
        said: what is published of that data set's splits in its training; None: it is not named there.
        known: recordings whose origin is in the training splits that are both published and given here.
        possible: recordings from a source that its training data are from too, by source.
    """

    model: str
    split: str
    recordings: int
    said: Said | None
    known: int
    possible: dict[str, int]


class Compared(NamedTuple):
    """Two sets of recordings, or one compared with itself, and what sounds nearly the same in them."""

    first: Embedded
    second: Embedded
    found: NearDuplicates

    @property
    def sides(self) -> tuple[str, str]:
        """The labels of both; "itself" for a set compared with itself."""
        return self.first.label, "itself" if self.second is self.first else self.second.label


@dataclass(frozen=True)
class Hygiene:
    """All that was checked."""

    sizes: list[SplitSize]
    leaks: list[Leak]
    heard: list[Heard]
    captions: list[PoolCaptions]
    compared: list[Compared]
    threshold: float


def check_hygiene(
    parts: Sequence[Part],
    embedded: Sequence[Embedded],
    published: Mapping[str, Sequence[str]],
    threshold: float = 0.95,
) -> Hygiene:
    """Check data sets against each other and against what pretrained models were trained on.

    Args:
        parts: data sets and lists of ids.
        embedded: recordings of one model to be compared by sound.
        published: training data of pretrained models, by name.
        threshold: cosine similarity from which recordings count as near duplicates.

    Raises:
        UserError: annotations cannot be read, or the embeddings are of different models.
    """
    return Hygiene(
        sizes=[size for part in parts for split in part.data.splits if (size := _size(part, split)).recordings],
        leaks=find_leaks([(part.label, part.data) for part in parts]),
        heard=list(_heard(parts, published)),
        captions=[
            _captions(part.label, part.data, split)
            for part in parts
            if isinstance(part.data, AnnotatedDataModule)
            for split in part.data.splits
            if split != "train" and part.data.annotations(split)
        ],
        compared=list(_compared(embedded, threshold)),
        threshold=threshold,
    )


def _size(part: Part, split: str) -> SplitSize:
    known = len(part.data.origins(split))
    if not isinstance(part.data, AnnotatedDataModule):
        return SplitSize(f"{part.label} {split}", known, None, known)
    rows = part.data.annotations(split)
    return SplitSize(f"{part.label} {split}", len(rows), sum(len(row.captions) for row in rows), known)


def _captions(label: str, data: AnnotatedDataModule, split: str) -> PoolCaptions:
    rows = data.annotations(split)
    texts = [text for row in rows for text in row.captions]
    clips = np.repeat(np.arange(len(rows)), [len(row.captions) for row in rows])
    training = data.annotations("train") if "train" in data.splits else []
    trained = {text for row in training for text in row.captions}
    return PoolCaptions(f"{label} {split}", equal_captions(texts, clips), sum(text in trained for text in texts))


def _heard(parts: Sequence[Part], published: Mapping[str, Sequence[str]]) -> Iterator[Heard]:
    tested = [(part, part.data.origins("test")) for part in parts if "test" in part.data.splits]
    for model, entries in published.items():
        trained: set[str] = set()
        for part in parts:
            said = splits_said(entries, part.kind)
            if said is not None:  # where no splits are said, the training split is the least
                splits = (
                    part.data.splits if said == "test too" else [name for name in part.data.splits if name == "train"]
                )
                trained.update(origin for split in splits for origin in part.data.origins(split).values())
        for part, origins in tested:
            known = sum(origin in trained for origin in origins.values())
            yield Heard(
                *(model, f"{part.label} test", len(origins), splits_said(entries, part.kind)),
                *(known, maybe_heard(entries, origins)),
            )


def _compared(embedded: Sequence[Embedded], threshold: float) -> Iterator[Compared]:
    """Each split with those that are evaluated after it, and each evaluated split with itself."""
    for other in embedded[1:]:
        if other.model != embedded[0].model:
            raise RunError(
                f"{other.label}: was embedded by another model than {embedded[0].label}; give files of one model"
            )
    for one, other in combinations(embedded, 2):
        first, second = sorted((one, other), key=lambda each: ORDER.get(each.split or "", -1))
        if None in (first.split, second.split) or first.split != second.split:
            found = near_duplicates(first.vectors, second.vectors, threshold=threshold)
            yield Compared(first, second, found)
    for each in embedded:
        if each.split != "train" and len(each.names) > 1:
            yield Compared(each, each, near_duplicates(each.vectors, threshold=threshold))
