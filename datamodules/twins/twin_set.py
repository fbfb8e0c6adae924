"""What every kind of twin set is read into: captions, their twins, and the recordings that the captions are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import DataError

Recording = Path | Mapping[str, Any]
"""A file, or samples in memory as `{"array": (T,) float32, "sampling_rate": Hz}`."""


@dataclass(frozen=True)
class Twin:
    """A caption and one that differs from it.

    Attributes:
        caption: what is heard in recording `audio`.
        twin_caption: what is not heard there.
        audio: row of the set's recordings.
        twin_audio: row of a recording that the twin describes; None where there is none.
    """

    caption: str
    twin_caption: str
    audio: int
    twin_audio: int | None = None


@dataclass(frozen=True)
class TwinSet:
    """Twins of one kind.

    Attributes:
        name: of the kind, such as "order".
        recordings: A recordings, or their names where their embeddings are there already.
        twins: T twins; either all have a twin recording, or none.
        left_out: captions without a twin: it is the same caption, or has no words.

    Raises:
        DataError: no twins, or only some of them with a twin recording.
    """

    name: str
    recordings: Sequence[Recording | str]
    twins: Sequence[Twin]
    left_out: int = 0

    def __post_init__(self) -> None:
        if not self.twins:
            raise DataError(
                f"{self.name}: no caption differs from its twin, so there is nothing to compare; give others"
            )
        if len({twin.twin_audio is None for twin in self.twins}) > 1:
            raise DataError(f"{self.name}: only some twins have a recording of their own; give all one, or none")

    @property
    def has_twin_recordings(self) -> bool:
        """Whether the twins have recordings of their own."""
        return self.twins[0].twin_audio is not None


@dataclass(frozen=True)
class CaptionVariants:
    """All captions of some recordings in several forms, each of which can be searched with.

    Attributes:
        recordings: A recordings, or their names where their embeddings are there already.
        captions: C captions.
        caption_audio: C rows of `recordings`.
        variants: by name of the change, the C captions after it; what it does not change stays in its place.
    """

    recordings: Sequence[Recording | str]
    captions: Sequence[str]
    caption_audio: Sequence[int]
    variants: Mapping[str, Sequence[str]]

    def twin_sets(self) -> list[TwinSet]:
        """A set for each change, of the captions that it changes; none for a change that leaves all as they were."""
        sets = []
        for name, changed in self.variants.items():
            rows = list(zip(self.captions, changed, self.caption_audio, strict=True))
            twins = [Twin(caption, other, audio) for caption, other, audio in rows if other != caption]
            if twins:
                sets.append(TwinSet(name, self.recordings, twins, len(rows) - len(twins)))
        return sets
