"""The interface of augmentations, and how their draws follow from (seed, epoch, caption)."""

import zlib
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.batch import Example

Side = Literal["audio", "text"]


class Source(NamedTuple):
    """What an augmentation may draw on.

    Attributes:
        sample_rate: of the waveforms in Hz.
        other: a training pair drawn at random, with a random crop and no augmentation.
    """

    sample_rate: int
    other: Callable[[np.random.Generator], Example]


class Augmentation:
    """Changes a share of the training examples, each of one recording and one caption.

    Args:
        share: of the examples that are changed, drawn again in each epoch.

    Attributes:
        sides: what it changes.

    Raises:
        DataError: the share is not from 0 to 1.
    """

    sides: ClassVar[frozenset[Side]] = frozenset()

    def __init__(self, share: float) -> None:
        check_numbers(DataError, self.title, 0, 1, share=share)
        self.share = share

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"data.augmentations: {type(self).__name__}"

    def prepare(self, names: Sequence[str]) -> None:
        """Read the files that are needed, once, before training.

        Args:
            names: of the training recordings.

        Raises:
            DataError: a file cannot be used.
        """

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """A changed example; the given one is not touched."""
        raise NotImplementedError

    def unchanged(self, example: Example) -> Example:
        """The example where it is not drawn."""
        return example


def augmented(
    example: Example, augmentations: Sequence[Augmentation], seed: int, epoch: int, source: Source
) -> Example:
    """An example after all augmentations, one after another.

    The numbers of each come from (seed, epoch, caption id, class, how many of the class stand before it). So they are
    the same whichever worker, device or resumed run makes the example, and do not depend on the others in the list.
    """
    caption, seen = example.caption_ids[0], dict[str, int]()
    for augmentation in augmentations:
        kind = type(augmentation).__name__
        seen[kind] = seen.get(kind, -1) + 1
        rng = np.random.default_rng((seed, epoch, caption, zlib.crc32(kind.encode()), seen[kind]))
        drawn = rng.random() < augmentation.share
        example = augmentation(example, rng, source) if drawn else augmentation.unchanged(example)
    return example
