"""The known truth: how relevant one clip is to another, from what sounds in them.

For scenes a and b with events e and f of salience w (`Event.salience`, summing to W_a and W_b):

    match(e, f) = K(e, f) * (1 - 0.4 * share of the attributes both have in which they differ)
                  K = 1 for the same kind, 0.3 for two kinds of one family (`FAMILIES`), else 0
    overlap     = max over one-to-one matchings of  sum of (w_e + w_f) * match(e, f)  /  (W_a + W_b)
    order       = 1 - 0.3 * mean of |o_a - o_b| / 2 over the pairs of kinds that a and b share
                  o = -1, 0, 1: the first of the pair comes before, together with, after the second (1 if no such pair)
    relevance   = overlap * order

It is symmetric, in [0, 1], and 1 exactly for equal descriptions. The overlap is a Dice coefficient weighted by
salience: the share of all that sounds in the two clips that has its counterpart in the other.

Why this is a fair truth to evaluate learned relevance with: it is a function of the scene that was rendered, fixed
before a word of a caption is chosen; no caption, no embedding and no model enters it. It asks first which sources
sound, then how they sound, then in what order, and counts a faint event for less than a prominent one. A caption model
is not favoured: captions leave out events and attributes that the truth still counts, and name one event in different
words, which the truth does not see. The constants 0.4, 0.3 and 0.3 are choices, not measurements. They keep the three
questions in their order: another kind costs at least 0.7 of a match, all other attributes 0.4 of it, a reversed order
0.3 of the whole.
"""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from datamodules.synthesis.scenes import ATTRIBUTES, KINDS, MAX_EVENTS, Scene

#: Kinds that could be taken for each other or have a similar cause. A kind may belong to several families.
FAMILIES: dict[str, frozenset[str]] = {
    "water": frozenset({"rain", "drip"}),
    "weather": frozenset({"rain", "wind", "thunder"}),
    "animal": frozenset({"dog", "cat", "bird"}),
    "warning": frozenset({"siren", "alarm", "horn"}),
    "ringing": frozenset({"bell", "phone", "alarm"}),
    "impact": frozenset({"knock", "drum", "clap", "footsteps"}),
    "clicking": frozenset({"clock", "typing", "drip"}),
    "tune": frozenset({"whistle", "bird"}),
    "machine": frozenset({"engine", "saw"}),
}
RELATED_KIND = 0.3
ATTRIBUTE_PENALTY = 0.4
ORDER_PENALTY = 0.3

_ROWS = 256  # rows compared at once: bounds memory at about 256 * C * 9 * 8 bytes


def _kind_similarity() -> NDArray[np.float64]:
    kinds = list(KINDS)
    table = np.eye(len(kinds) + 1)  # the last row and column stand for an empty slot
    table[-1, -1] = 0.0
    for family in FAMILIES.values():
        for first, second in permutations(sorted(family), 2):
            table[kinds.index(first), kinds.index(second)] = RELATED_KIND
    return table


_KIND_SIMILARITY = _kind_similarity()


class _Slots:
    """Scenes as arrays of `MAX_EVENTS` slots a scene; an empty slot has no kind, no attributes and no weight."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        kinds, attributes = list(KINDS), list(ATTRIBUTES)
        self.kind = np.full((len(scenes), MAX_EVENTS), len(kinds))  # (N, 3)
        self.value = np.zeros((len(scenes), MAX_EVENTS, len(attributes)))  # (N, 3, 5): 1, -1, or 0 for has none
        self.step = np.zeros((len(scenes), MAX_EVENTS))  # (N, 3)
        self.weight = np.zeros((len(scenes), MAX_EVENTS))  # (N, 3)
        for row, scene in enumerate(scenes):
            numbered = [(step, event) for step, events in enumerate(scene.steps) for event in events]
            for slot, (step, event) in enumerate(numbered):
                self.kind[row, slot] = kinds.index(event.kind)
                self.step[row, slot] = step
                self.weight[row, slot] = event.salience
                for name, value in event.attributes.items():
                    self.value[row, slot, attributes.index(name)] = 1 if value == ATTRIBUTES[name][0] else -1


def relevance(queries: Sequence[Scene], items: Sequence[Scene]) -> NDArray[np.float32]:
    """Graded relevance of every item to every query, by the formula of this module.

    Args:
        queries: Q scenes.
        items: I scenes.

    Returns:
        `(Q, I)` float32 in [0, 1]; 1 exactly where the scenes are equal.

    >>> from datamodules.synthesis.scenes import Event, Scene
    >>> dog, bell = Event("dog", ("low", "near")), Event("bell", ("high", "slow"))
    >>> relevance([Scene(((dog,), (bell,)))], [Scene(((dog,), (bell,))), Scene(((bell,), (dog,))), Scene(((dog,),))])
    array([[1.      , 0.7     , 0.666667]], dtype=float32)
    """
    rows, columns = _Slots(queries), _Slots(items)
    out = np.empty((len(queries), len(items)), np.float32)
    for start in range(0, len(queries), _ROWS):
        block = slice(start, start + _ROWS)
        # Rounding hides the order of summation, so that the matrix is exactly symmetric and 1 on its diagonal.
        out[block] = np.round(_overlap(rows, columns, block) * _order(rows, columns, block), 6)
    return out


def _overlap(rows: _Slots, columns: _Slots, block: slice) -> NDArray[np.float64]:
    kind = _KIND_SIMILARITY[rows.kind[block, None, :, None], columns.kind[None, :, None, :]]  # (R, C, 3, 3)
    agreement = np.einsum("qia,cja->qcij", rows.value[block], columns.value)  # same - differing
    shared = np.einsum("qia,cja->qcij", np.abs(rows.value[block]), np.abs(columns.value))
    differing = (shared - agreement) / 2 / np.maximum(shared, 1)
    weight = rows.weight[block, None, :, None] + columns.weight[None, :, None, :]
    matched = weight * kind * (1 - ATTRIBUTE_PENALTY * differing)  # (R, C, 3, 3)
    best = np.zeros(matched.shape[:2])
    for columns_of in permutations(range(MAX_EVENTS)):
        np.maximum(best, sum(matched[..., i, j] for i, j in enumerate(columns_of)), out=best)
    total = rows.weight[block].sum(1)[:, None] + columns.weight.sum(1)[None]
    return np.asarray(best / total)


def _order(rows: _Slots, columns: _Slots, block: slice) -> NDArray[np.float64]:
    same = rows.kind[block, None, :, None] == columns.kind[None, :, None, :]  # (R, C, 3, 3)
    same &= rows.weight[block, None, :, None] > 0  # two empty slots are not the same kind
    found = same.any(-1)  # (R, C, 3): the kind in this slot of the row occurs in the column
    step = (same * columns.step[None, :, None, :]).sum(-1)  # (R, C, 3): its step there
    differing, pairs = np.zeros(found.shape[:2]), np.zeros(found.shape[:2])
    for i in range(MAX_EVENTS):
        for j in range(i):
            both = found[..., i] & found[..., j]
            here = np.sign(rows.step[block, i] - rows.step[block, j])[:, None]
            there = np.sign(step[..., i] - step[..., j])
            differing += both * np.abs(here - there) / 2
            pairs += both
    return np.asarray(1 - ORDER_PENALTY * differing / np.maximum(pairs, 1))
