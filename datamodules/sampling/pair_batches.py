"""Which pairs go into which batch: a pure function of (seed, epoch), the same on every rank and after every restart."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from common.errors import DataError

Asked = TypeVar("Asked")
"""What a sampler asks a data set for."""
Regroup = Callable[[npt.NDArray[np.int64], np.random.Generator], npt.NDArray[np.int64]]


class Draw(NamedTuple):
    """What a sampler asks a data set for: a row of its table, and the epoch, from which the row's crop is drawn."""

    row: int
    epoch: int


def epoch_batches(
    audio_of_pair: npt.NDArray[np.int64],
    batch_size: int,
    seed: int,
    epoch: int,
    *,
    unique_audio: bool,
    regroup: Regroup | None = None,
    pairs: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """Shuffled batches (B, batch_size), B = P // batch_size, of pair indices; no pair comes twice.

    With `unique_audio` no batch holds two pairs of one recording: where the shuffle put two together, one of them
    changes places with a pair of another batch. Pairs beyond the B-th of one recording are left out first. This
    succeeds whenever such batches exist at all, that is when sum_r min(pairs of r, B) >= B * batch_size.

    Args:
        audio_of_pair: (P,) recording of each pair.
        batch_size: pairs a batch, over all ranks together.
        seed, epoch: the shuffle is drawn from both.
        unique_audio: whether a batch holds a recording at most once.
        regroup: puts the shuffled pairs into another order, from which batches are cut; default: as they are.
        pairs: the pair indices that take part; default: all P.

    Raises:
        DataError: there are too few pairs, or too few recordings for a batch without repeats.
    """
    pairs = np.arange(len(audio_of_pair)) if pairs is None else pairs
    count = len(pairs) // batch_size
    if count == 0:
        raise DataError(f"{len(pairs)} training captions do not fill one batch of {batch_size}; lower data.batch_size")
    rng = np.random.default_rng((seed, epoch))
    order = pairs[rng.permutation(len(pairs))]
    if unique_audio:
        order = order[_occurrence(audio_of_pair[order]) < count]
        if len(order) < count * batch_size:
            raise DataError(
                f"{count} batches of {batch_size} without a repeated recording cannot be made from "
                f"{len(np.unique(audio_of_pair))} recordings; lower data.batch_size or set data.unique_audio to false"
            )
    if regroup is not None:
        order = regroup(order, rng)
    batches = order[: count * batch_size].reshape(count, batch_size)
    if unique_audio:
        _separate(batches, audio_of_pair[batches], rng)
    return batches


def one_caption_each(
    audio_of_pair: npt.NDArray[np.int64], seed: int, epoch: int, audio_ids: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """For each recording one of its pairs, drawn from (seed, epoch, recording): (A,) of the P pair indices, ascending.

    Args:
        audio_of_pair: (P,) recording of each pair, ascending.
        seed, epoch: see above.
        audio_ids: number of each recording by `audio_of_pair`, by which it is drawn, so that the draw does not depend
            on which others are there; default: itself.
    """
    recordings, first, counts = np.unique(audio_of_pair, return_index=True, return_counts=True)
    numbers = recordings if audio_ids is None else audio_ids[recordings]
    draws = np.random.default_rng((seed, epoch, 1)).random(int(numbers.max()) + 1)[numbers]  # another stream than order
    return first + np.floor(draws * counts).astype(np.int64)  # type: ignore[no-any-return]


def _occurrence(audio: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often the recording of each entry of (P,) came before it."""
    by_audio = np.argsort(audio, kind="stable")
    first = np.searchsorted(audio[by_audio], audio[by_audio])  # (P,) where each recording begins
    occurrence = np.empty_like(by_audio)
    occurrence[by_audio] = np.arange(len(audio)) - first
    return occurrence


def _separate(batches: npt.NDArray[np.int64], audio: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    """Swap entries of `batches` (B, b), and of `audio`, which follows it, until no batch repeats a recording.

    No recording may come more than B times. Then some repeat can always be swapped away: its recording is absent from
    some batch, and either that batch holds a recording that is not in the first one, or it has fewer distinct
    recordings than the first one and so a repeat of its own, of which the same holds. A repeat that must wait for
    others is swapped in the next pass.
    """
    while len(repeats := _repeats(audio)):
        for row, column in repeats:
            recording = audio[row, column]
            if np.count_nonzero(audio[row] == recording) == 1:  # an earlier swap has removed the repeat
                continue
            for other in rng.permutation(len(audio)):
                if recording in audio[other]:
                    continue
                free = np.flatnonzero(~np.isin(audio[other], audio[row]))
                if len(free):
                    here, there = (row, column), (other, rng.choice(free))
                    batches[here], batches[there] = batches[there], batches[here]
                    audio[here], audio[there] = audio[there], audio[here]
                    break


def _repeats(audio: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(row, column) of each entry of (B, b) that an earlier entry of its row equals: (R, 2)."""
    order = np.argsort(audio, axis=1, kind="stable")
    ordered = np.take_along_axis(audio, order, axis=1)
    rows, places = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    return np.stack([rows, order[rows, places + 1]], axis=1)


class EpochBatchSampler(Sampler[list[Asked]]):
    """Batches that follow from the epoch: `set_epoch` moves on, as Lightning does at each one."""

    def __init__(self) -> None:
        self.epoch = 0
        self._done = (0, 0)

    @property
    def sampler(self) -> Self:
        """Itself: of a batch sampler, Lightning calls `set_epoch` on its `sampler` only."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Begin in the middle: of `epoch` so many batches are done and will not be drawn; `len` stays that of all."""
        self.epoch, self._done = epoch, (epoch, batches)

    @property
    def done(self) -> int:
        """Batches of this epoch that will not be drawn."""
        return self._done[1] if self.epoch == self._done[0] else 0


class PairBatchSampler(EpochBatchSampler[Draw]):
    """Yields a rank's share of each global batch of pairs.

    Rank r of W takes places r * b ... (r + 1) * b - 1 of every global batch of W * b pairs, so the global batches are
    the same for every way of dividing them. With `one_caption` an epoch is every recording once; with `keep_last` the
    pairs that fill no batch are a last one, but for those that W does not divide, or a single pair.
    """

    def __init__(
        self,
        audio_of_pair: npt.NDArray[np.int64],
        batch_size: int,
        seed: int,
        *,
        unique_audio: bool = True,
        regroup: Regroup | None = None,
        one_caption: bool = False,
        audio_ids: npt.NDArray[np.int64] | None = None,
        keep_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        if keep_last and unique_audio and not one_caption and len(np.unique(audio_of_pair)) < len(audio_of_pair):
            raise DataError(
                "data.last_batch is keep, but a last batch may not be filled without a repeated recording; set "
                "data.captions_per_epoch to one, or data.unique_audio to false"
            )
        self._rank, self._world_size = rank, world_size
        whole = batch_size * world_size

        def of_epoch(epoch: int) -> list[npt.NDArray[np.int64]]:
            pairs = np.arange(len(audio_of_pair))
            if one_caption:
                pairs = one_caption_each(audio_of_pair, seed, epoch, audio_ids)
            last = len(pairs) % whole // world_size * world_size if keep_last else 0
            batches: list[npt.NDArray[np.int64]] = []
            if len(pairs) >= whole or last < 2:
                batches += [
                    *epoch_batches(
                        audio_of_pair, whole, seed, epoch, unique_audio=unique_audio, regroup=regroup, pairs=pairs
                    )
                ]
            if last >= 2:
                rest = np.setdiff1d(pairs, np.concatenate(batches)) if batches else pairs
                batches.append(np.random.default_rng((seed, epoch, 2)).permutation(rest)[:last])
            return batches

        self._batches = lru_cache(maxsize=1)(of_epoch)

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.epoch
        for batch in self._batches(epoch)[self.done :]:
            share = len(batch) // self._world_size
            yield [Draw(int(pair), epoch) for pair in batch[self._rank * share : (self._rank + 1) * share]]

    def __len__(self) -> int:
        return len(self._batches(self.epoch))


def rank_share(count: int, rank: int, world_size: int) -> npt.NDArray[np.int64]:
    """Rows, of `count`, that a rank evaluates: every W-th, equally many on every rank, as collectives need.

    Where W does not divide `count`, the last ones start again at row 0; such repeats are removed by id before
    evaluation.

    >>> rank_share(5, 1, 2)
    array([1, 3, 0])
    """
    per_rank = -(-count // world_size)
    return (rank + world_size * np.arange(per_rank)) % count
