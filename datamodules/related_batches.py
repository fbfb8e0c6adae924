"""Batches with many partly relevant pairs: pairs whose captions are alike are drawn together.

Of pairs drawn at random few are relevant to each other, so most of what a graded relevance knows is never seen in a
batch. Here an epoch is cut into groups, each a drawn pair and its nearest ones, and a batch holds several groups.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Related:
    """Training batches are made of groups of pairs whose captions are alike.

    Args:
        neighbours: file that neighbours.py wrote for this data set.
        group: pairs a group; it divides a batch, over all devices, and 1 draws all pairs at random.
    """

    neighbours: str
    group: int = 4


def related_order(
    order: Ints, rng: np.random.Generator, *, neighbours: Ints, audio_of_pair: Ints, group: int, unique_audio: bool
) -> Ints:
    """The pairs of `order` (N,), each once, so that every `group` of them in a row belong together.

    Pair by pair, each that is not in a group yet begins one with its nearest pairs that are in none; the groups are
    then shuffled, since the first ones have more to choose from. Where too few are left, pairs are put together as they
    come.

    Args:
        order: shuffled pair indices.
        rng: shuffles the groups.
        neighbours: (P, k) pair indices, nearest first; -1 for none.
        audio_of_pair: (P,) recording of each pair.
        group: pairs a group.
        unique_audio: whether a group takes a recording at most once (pairs put together as they come may repeat one).
    """
    audio = audio_of_pair.tolist()
    taken = np.ones(len(audio_of_pair), dtype=bool)
    taken[order] = False
    groups: list[list[int]] = []
    rest: list[int] = []
    for pair in order.tolist():
        if taken[pair]:
            continue
        members = [pair]
        recordings = {audio[pair]}
        nearest = neighbours[pair]
        for other in nearest[(nearest >= 0) & ~taken[nearest]].tolist():
            if len(members) == group:
                break
            if other not in members and not (unique_audio and audio[other] in recordings):
                members.append(other)
                recordings.add(audio[other])
        taken[members] = True
        if len(members) == group:
            groups.append(members)
        else:
            rest += members
    whole = len(rest) // group * group
    blocks = np.array([*(pair for members in groups for pair in members), *rest[:whole]], dtype=np.int64)
    blocks = rng.permutation(blocks.reshape(-1, group)).ravel()
    return np.concatenate([blocks, np.array(rest[whole:], dtype=np.int64)])
