"""Which pairs go into which batch: a pure function of (seed, epoch), the same on every rank and after every restart."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from datamodules.errors import DataError


class Draw(NamedTuple):
    """What a sampler asks a data set for: a row of its table, and the epoch, from which the row's crop is drawn."""

    row: int
    epoch: int


def epoch_batches(
    audio_of_pair: npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int, *, unique_audio: bool
) -> npt.NDArray[np.int64]:
    """Shuffled batches (B, batch_size), B = P // batch_size, of pair indices; no pair comes twice.

    With `unique_audio` no batch holds two pairs of one recording: where the shuffle put two together, one of them
    changes places with a pair of another batch.

    Args:
        audio_of_pair: (P,) recording of each pair.
        batch_size: pairs a batch, over all ranks together.
        seed, epoch: the shuffle is drawn from both.
        unique_audio: whether a batch holds a recording at most once.

    Raises:
        DataError: there are too few pairs, or too few recordings for a batch without repeats.
    """
    count = len(audio_of_pair) // batch_size
    if count == 0:
        raise DataError(
            f"{len(audio_of_pair)} training captions do not fill one batch of {batch_size}; lower data.batch_size"
        )
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(audio_of_pair))
    if unique_audio:
        _separate(order, audio_of_pair[order], batch_size, rng)
    return order[: count * batch_size].reshape(count, batch_size)


def _separate(
    order: npt.NDArray[np.int64], audio: npt.NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> None:
    """Swap entries of `order` (and of `audio`, which follows it) until no full batch repeats a recording.

    The remainder behind the last full batch may hold anything: it is not used.
    """
    full = len(order) // batch_size * batch_size
    for start in range(0, full, batch_size):
        batch = slice(start, start + batch_size)
        _, first = np.unique(audio[batch], return_index=True)
        for place in start + np.setdiff1d(np.arange(batch_size), first):
            for other in rng.permutation(len(order)):
                other_start = other // batch_size * batch_size
                if other_start == start or audio[other] in audio[batch]:
                    continue
                other_batch = audio[other_start : other_start + batch_size]
                if other >= full or audio[place] not in other_batch:
                    order[[place, other]] = order[[other, place]]
                    audio[[place, other]] = audio[[other, place]]
                    break
            else:
                raise DataError(
                    f"batches of {batch_size} without a repeated recording cannot be made from {len(np.unique(audio))} "
                    "recordings; lower data.batch_size or set data.unique_audio to false"
                )


class PairBatchSampler(Sampler[list[Draw]]):
    """Yields a rank's share of each global batch of pairs; `set_epoch` moves on, as Lightning does at each epoch.

    Rank r of W takes places r * b ... (r + 1) * b - 1 of every global batch of W * b pairs, so the global batches are
    the same for every way of dividing them.
    """

    def __init__(
        self,
        audio_of_pair: npt.NDArray[np.int64],
        batch_size: int,
        seed: int,
        *,
        unique_audio: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.audio_of_pair = audio_of_pair
        self.batch_size = batch_size
        self.seed = seed
        self.unique_audio = unique_audio
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._batches: tuple[int, npt.NDArray[np.int64]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch
        mine = slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)
        for batch in self._epoch_batches(epoch):
            yield [Draw(int(pair), epoch) for pair in batch[mine]]

    def __len__(self) -> int:
        return len(self._epoch_batches(self.epoch))

    def _epoch_batches(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._batches is None or self._batches[0] != epoch:
            size = self.batch_size * self.world_size
            batches = epoch_batches(self.audio_of_pair, size, self.seed, epoch, unique_audio=self.unique_audio)
            self._batches = (epoch, batches)
        return self._batches[1]


def rank_share(count: int, rank: int, world_size: int) -> npt.NDArray[np.int64]:
    """Rows, of `count`, that a rank evaluates: every W-th, equally many on every rank, as collectives need.

    Where W does not divide `count`, the last ones begin anew at row 0; such repeats are removed by id before anything
    is judged.

    >>> rank_share(5, 1, 2)
    array([1, 3, 0])
    """
    per_rank = -(-count // world_size)
    return (rank + world_size * np.arange(per_rank)) % count
