"""Batches with many partly relevant pairs: pairs with similar captions are drawn together.

Few pairs drawn at random are relevant to each other, so a batch shows little of a graded relevance. Here an epoch is
cut into groups, each a drawn pair and its nearest ones, and a batch holds several groups.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Related:
    """Training batches are made of groups of pairs with similar captions.

    Args:
        neighbours: file that `audio-relevance neighbours --save` wrote for this data set.
        group: pairs a group; it divides a batch, over all devices, and 1 draws all pairs at random.
    """

    neighbours: str
    group: int = 4


class TextNeighbours(NamedTuple):
    """The texts of P pairs and the texts nearest to them, by number: captions of equal words are one text.

    text_of_pair (P,) int64, from 0; nearest_texts (P, k) int64, nearest first, -1 for none. Such a text may be that of
    many pairs, or of none.
    """

    text_of_pair: Ints
    nearest_texts: Ints


def related_order(
    order: Ints,
    rng: np.random.Generator,
    *,
    neighbours: TextNeighbours,
    audio_of_pair: Ints,
    group: int,
    unique_audio: bool,
) -> Ints:
    """The pairs of `order` (N,), each once, so that every `group` of them in a row belong together.

    Pair by pair, each that is not in a group yet begins one. It takes pairs of other recordings that are in none: first
    those with its own text, then those with each neighbouring text, nearest first, and of one text as they come in
    `order`. The groups are then shuffled, since the first ones have more to choose from. Where too few are left, pairs
    are put together as they come.

    Args:
        order: shuffled pair indices.
        rng: shuffles the groups.
        neighbours: the texts of all P pairs and those nearest to them.
        audio_of_pair: (P,) recording of each pair.
        group: pairs a group.
        unique_audio: whether a group takes a recording at most once (pairs put together as they come may repeat one).

    >>> texts = TextNeighbours(np.array([0, 1, 2, 0, 2, 1]), np.array([[1], [0], [-1], [1], [-1], [0]]))
    >>> order = np.array([0, 2, 3, 1, 4, 5])
    >>> rng = np.random.default_rng(0)
    >>> related_order(order, rng, neighbours=texts, audio_of_pair=np.arange(6), group=2, unique_audio=True).tolist()
    [1, 5, 0, 3, 2, 4]
    """
    audio, text = audio_of_pair.tolist(), neighbours.text_of_pair.tolist()
    waiting: dict[int, list[int]] = defaultdict(list)  # of each text the pairs that are in no group, the next one last
    for pair in order[::-1].tolist():
        waiting[text[pair]].append(pair)
    groups: list[list[int]] = []
    rest: list[int] = []
    for pair in order.tolist():
        if waiting[text[pair]][-1:] != [pair]:  # it is in a group: else all before it are, and it is next of its text
            continue
        members = [waiting[text[pair]].pop()]
        recordings = {audio[pair]}
        for near in (text[pair], *neighbours.nearest_texts[pair].tolist()):
            if len(members) == group:
                break
            if pairs := waiting.get(near):
                members += _take(pairs, group - len(members), audio, recordings, unique_audio)
        if len(members) == group:
            groups.append(members)
        else:
            rest += members
    whole = len(rest) // group * group
    blocks = np.array([*(pair for members in groups for pair in members), *rest[:whole]], dtype=np.int64)
    blocks = rng.permutation(blocks.reshape(-1, group)).ravel()
    return np.concatenate([blocks, np.array(rest[whole:], dtype=np.int64)])


def _take(pairs: list[int], count: int, audio: list[int], recordings: set[int], unique_audio: bool) -> list[int]:
    """Remove up to `count` of `pairs`, from its end, that are of none of `recordings`, which grows if they are unique.

    Only untaken pairs are in `pairs`, so the time is that of the pairs taken and of those of `recordings` in between.
    """
    taken: list[int] = []
    passed: list[int] = []
    while pairs and len(taken) < count:
        pair = pairs.pop()
        if audio[pair] in recordings:
            passed.append(pair)
            continue
        taken.append(pair)
        if unique_audio:
            recordings.add(audio[pair])
    pairs += reversed(passed)
    return taken
