"""In which order a stream of shards gives recordings: a pure function of (seed, epoch), rank and worker."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.sampling.pair_batches import EpochBatchSampler

Rows = npt.NDArray[np.int64]


class Turn(NamedTuple):
    """What a sampler asks a stream for: the recording at `place` of the `part`-th part of an epoch."""

    epoch: int
    part: int
    place: int


def shuffled_shards(shard_of_row: Rows, seed: int, epoch: int) -> Rows:
    """Rows (N,), shard after shard in an order drawn from (seed, epoch), those of a shard in the order they have.

    Args:
        shard_of_row: (N,) number of the shard, from 0, that each row is in.
        seed, epoch: the order is drawn from both.
    """
    place = np.random.default_rng((seed, epoch)).permutation(shard_of_row.max() + 1)
    return np.argsort(place[shard_of_row], kind="stable")


def stretch_of_rank(count: int, rank: int, world_size: int) -> Rows:
    """Rows, of `count`, that a rank evaluates: neighbours, equally many on every rank, as collectives need.

    Where W does not divide `count`, the last ones start again at row 0; such repeats are removed by id before
    evaluation.

    >>> stretch_of_rank(5, 1, 2)
    array([3, 4, 0])
    """
    per_rank = -(-count // world_size)
    return (rank * per_rank + np.arange(per_rank)) % max(count, 1)


def shuffled_within(rows: Rows, buffer: int, seed: Sequence[int]) -> Rows:
    """These rows (N,) shuffled as a stream can be: at most `buffer` of them are read and not yet given.

    >>> shuffled_within(np.arange(8), 2, (0, 0))
    array([1, 2, 3, 0, 5, 6, 7, 4])
    """
    rng = np.random.default_rng(seed)
    held, given = rows[:buffer].tolist(), []
    for row, place in zip(rows[buffer:].tolist(), rng.integers(0, buffer, max(len(rows) - buffer, 0)), strict=True):
        given.append(held[place])
        held[place] = row
    return np.array(given + rng.permutation(held).tolist(), dtype=np.int64)


def part_bounds(count: int, batch_size: int, parts: int) -> Rows:
    """Where each part of a rank's `count` recordings begins, and where the last one ends: (parts + 1,).

    Batch j comes from part j % parts, as a DataLoader asks its workers in turn, and each part is read by one of them,
    from its beginning to its end. So parts have equally many batches, or one more; the last batch may be smaller.

    >>> part_bounds(10, 2, 2), part_bounds(9, 2, 2)
    (array([ 0,  6, 10]), array([0, 5, 9]))
    """
    batches = -(-count // batch_size)
    sizes = [len(range(part, batches, parts)) * batch_size for part in range(parts)]
    sizes[(batches - 1) % parts] -= batches * batch_size - count
    return np.cumsum([0, *sizes])


def batches_of_turns(count: int, batch_size: int, parts: int, epoch: int = 0, done: int = 0) -> Iterator[list[Turn]]:
    """What to ask for, batch by batch, after the first `done` batches; parts are those of `part_bounds`."""
    for batch in range(done, -(-count // batch_size)):
        first = batch // parts * batch_size
        size = min(batch_size, count - batch * batch_size)
        yield [Turn(epoch, batch % parts, first + place) for place in range(size)]


class StreamSampler(EpochBatchSampler[Turn]):
    """Yields the batches of a rank's `batches * batch_size` recordings."""

    def __init__(self, batches: int, batch_size: int, parts: int) -> None:
        super().__init__()
        self.batches, self.batch_size, self.parts = batches, batch_size, parts

    def __iter__(self) -> Iterator[list[Turn]]:
        return batches_of_turns(self.batches * self.batch_size, self.batch_size, self.parts, self.epoch, self.done)

    def __len__(self) -> int:
        return self.batches
