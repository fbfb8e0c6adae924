"""Captions that several recordings of a pool share: no model can rank all of these recordings first."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError


@dataclass(frozen=True)
class EqualCaptions:
    """How far equal captions limit text-to-audio retrieval in a pool.

    Attributes:
        queries: captions C of the pool.
        shared: queries whose text, letter by letter, another recording has too.
        texts: different texts among these.
        alike: queries whose words another recording has too, whatever their case and punctuation; never fewer.
        best_recall: highest R@k that any ranking reaches on the pool, by k: of queries of one text, which all get one
            ranking, at most those of k recordings find theirs among the first k. Where the recordings share their
            ranks by chance, the expected R@1 is the same.
    """

    queries: int
    shared: int
    texts: int
    alike: int
    best_recall: dict[int, float]


def equal_captions(
    captions: Sequence[str], caption_audio: npt.NDArray[np.int64], ks: Sequence[int] = (1, 5, 10)
) -> EqualCaptions:
    """Count the equal captions of a pool.

    Args:
        captions: C texts.
        caption_audio: (C,) int64, the recording that each describes.
        ks: cut-offs of the best R@k.

    Raises:
        RelevanceError: no captions, or another number of recordings.

    >>> found = equal_captions(["Rain.", "Rain.", "rain", "A dog."], np.array([0, 1, 2, 2]), ks=(1,))
    >>> found.shared, found.texts, found.alike, found.best_recall
    (2, 1, 3, {1: 0.75})
    """
    if not captions or len(captions) != len(caption_audio):
        raise RelevanceError(f"{len(captions)} captions of {len(caption_audio)} recordings: give one row for each")
    clips = caption_audio.tolist()
    by_text = _by_text(captions, clips)
    shared = [counts for counts in by_text.values() if len(counts) > 1]
    alike = _by_text([plain_words(text) for text in captions], clips).values()
    best = {k: sum(sum(n for _, n in counts.most_common(k)) for counts in by_text.values()) / len(clips) for k in ks}
    return EqualCaptions(
        queries=len(clips),
        shared=sum(counts.total() for counts in shared),
        texts=len(shared),
        alike=sum(counts.total() for counts in alike if len(counts) > 1),
        best_recall=best,
    )


def plain_words(text: str) -> str:
    """A caption's words, without case and punctuation; a text without words as it is.

    >>> plain_words(" A dog barks,  loudly. "), plain_words("?!")
    ('a dog barks loudly', '?!')
    """
    return " ".join(re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())) or text


def _by_text(captions: Sequence[str], clips: Sequence[int]) -> dict[str, Counter[int]]:
    """How many captions of each text each recording has."""
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for text, clip in zip(captions, clips, strict=True):
        found[text][clip] += 1
    return found
