"""Recordings added up: one as the background of another, or two that are described together."""

from dataclasses import replace
from typing import ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.augmentations.base import Augmentation, Side, Source
from datamodules.batch import Example, MixedPair

Waveform = npt.NDArray[np.float32]
Rule = Literal["max", "weighted"]


class BackgroundMix(Augmentation):
    """Adds another training recording, so much softer that it stays a background; caption and relevance do not change.

    Args:
        lowest, highest: ratio of the recording's to the background's mean power in dB, uniform between them.
        share: of the examples.

    Raises:
        DataError: a number is out of range.

    Relations: take `Mixup` where both should be heard and described.
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"audio"})

    def __init__(self, lowest: float = 10.0, highest: float = 30.0, share: float = 0.5) -> None:
        super().__init__(share)
        check_numbers(DataError, self.title, -60, 100, lowest=lowest, highest=highest)
        if lowest > highest:
            raise DataError(f"{self.title}: lowest is {lowest:g}, above highest, {highest:g}")
        self.lowest, self.highest = lowest, highest

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """With a background."""
        ratio, place = rng.uniform(self.lowest, self.highest), rng.random()
        other = placed(source.other(rng).waveform, len(example.waveform), place)
        return replace(example, waveform=example.waveform + other * background_gain(example.waveform, other, ratio))


class Mixup(Augmentation):
    """Adds another training recording and joins the captions: x = w a + (1 - w) b, "A dog barks and rain falls."

    A training target is made of the relevance of the parts, see `relevance.mixes`.

    Args:
        share: of the examples.
        alpha: w is drawn from Beta(alpha, alpha): with a large one both are about as loud, with one far below 1 mostly
            one of them is heard.
        targets: "max" takes the relevance of the most relevant parts, "weighted" their mean, weighted by w.

    Raises:
        DataError: a number is out of range, or another rule.

    Source: Hao et al. 2023, "MixGen: a new multi-modal data augmentation" (mixed images, joined captions); Kim et al.
    2022, "Exploring train and test-time augmentations for audio-language learning" (PairMix, for audio).
    """

    sides: ClassVar[frozenset[Side]] = frozenset({"audio", "text"})

    def __init__(self, share: float = 0.5, alpha: float = 8.0, targets: Rule = "max") -> None:
        super().__init__(share)
        check_numbers(DataError, self.title, 0.01, 1e6, alpha=alpha)
        if targets not in get_args(Rule):
            raise DataError(f"{self.title}: targets is '{targets}': give one of {', '.join(get_args(Rule))}")
        self.alpha: float = alpha
        self.targets: Rule = targets

    def __call__(self, example: Example, rng: np.random.Generator, source: Source) -> Example:
        """Mixed with another pair; as it is if that is of the same recording."""
        weight, other = float(rng.beta(self.alpha, self.alpha)), source.other(rng)
        if other.audio_id == example.audio_id:
            return self.unchanged(example)
        size = max(len(example.waveform), len(other.waveform))
        mixed = np.zeros(size, np.float32)
        mixed[: len(example.waveform)] += np.float32(weight) * example.waveform
        mixed[: len(other.waveform)] += np.float32(1 - weight) * other.waveform
        return replace(
            example,
            waveform=mixed,
            captions=[joined(example.captions[0], other.captions[0])],
            mix=MixedPair((example.caption_ids[0], other.caption_ids[0]), weight, self.targets),
        )

    def unchanged(self, example: Example) -> Example:
        """The example as a mix with itself: batches say of all pairs or of none what they are mixed of."""
        own = example.caption_ids[0]
        return replace(example, mix=MixedPair((own, own), 1.0, self.targets))


def placed(waveform: Waveform, size: int, place: float) -> Waveform:
    """A waveform at `place` (0 to 1) within `size` samples of silence, or so many samples of it from there: (size,)."""
    spare = size - len(waveform)
    if spare <= 0:
        start = round(-spare * place)
        return waveform[start : start + size]
    start = round(spare * place)
    return np.pad(waveform, (start, spare - start))


def background_gain(foreground: Waveform, background: Waveform, decibels: float) -> np.float32:
    """What a background is multiplied by, so that the foreground's mean power is so much higher; 0 for silence."""
    loud, soft = (float(np.mean(np.square(waveform, dtype=np.float64))) for waveform in (foreground, background))
    return np.float32((loud / soft) ** 0.5 * 10 ** (-decibels / 20) if soft > 0 else 0.0)


def joined(first: str, second: str) -> str:
    """Two captions as one.

    >>> joined("A dog barks.", "Rain falls on a roof."), joined("wind", "I sing")
    ('A dog barks and rain falls on a roof.', 'wind and I sing')
    """
    word = second.split(" ", 1)[0]
    lower = second if word == "I" or (len(word) > 1 and word.isupper()) else second[:1].lower() + second[1:]
    return f"{first.rstrip(' .')} and {lower}"
