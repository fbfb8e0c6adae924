"""The order in which shards are streamed: shuffles, parts, resumed epochs."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datamodules.sampling.stream_order import (
    StreamSampler,
    batches_of_turns,
    part_bounds,
    shuffled_shards,
    shuffled_within,
)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
def test_a_shuffle_holds_no_more_than_its_buffer(count: int, buffer: int, seed: int) -> None:
    rows = np.arange(100, 100 + count)
    given_rows = shuffled_within(rows, buffer, (seed,)).tolist()
    assert sorted(given_rows) == rows.tolist()
    for already, row in enumerate(given_rows):
        read = row - 100 + 1  # at least so many must have been read to give this one
        assert read - already <= buffer
    if buffer == 1:
        assert given_rows == rows.tolist()


def test_a_shuffle_reaches_far() -> None:
    moved = [np.abs(shuffled_within(np.arange(200), 50, (seed,)) - np.arange(200)).mean() for seed in range(20)]
    assert 25 < np.mean(moved) < 50


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9), st.integers(0, 50))
def test_shards_are_shuffled_as_wholes(sizes: list[int], epoch: int) -> None:
    shard_of_row = np.repeat(np.arange(len(sizes)), sizes)
    order = shuffled_shards(shard_of_row, 1, epoch)
    blocks = [list(group) for _, group in itertools.groupby(order.tolist(), key=lambda row: shard_of_row[row])]
    assert sorted(blocks) == [np.flatnonzero(shard_of_row == shard).tolist() for shard in range(len(sizes))]


@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 5), st.data())
def test_each_part_is_asked_for_from_its_beginning_to_its_end(
    count: int, batch_size: int, parts: int, data: st.DataObject
) -> None:
    """By the worker whose turn it is, and batches that are done are left out."""
    bounds = part_bounds(count, batch_size, parts)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, count, parts + 1)
    batches = list(batches_of_turns(count, batch_size, parts, epoch=7))
    assert [len(batch) for batch in batches] == [min(batch_size, count - i) for i in range(0, count, batch_size)]
    for part in range(parts):
        places = [turn.place for batch in batches for turn in batch if turn.part == part]
        assert places == list(range(bounds[part + 1] - bounds[part]))
    assert all({turn[:2] for turn in batch} == {(7, number % parts)} for number, batch in enumerate(batches))
    done = data.draw(st.integers(0, len(batches)))
    assert list(batches_of_turns(count, batch_size, parts, 7, done)) == batches[done:]


def test_a_sampler_leaves_out_what_is_done_in_the_first_epoch_only() -> None:
    sampler = StreamSampler(5, 2, 2)
    whole = list(sampler)
    sampler.resume(0, 3)
    assert (list(sampler), len(sampler)) == (whole[3:], 5)
    sampler.sampler.set_epoch(1)
    assert [turn.epoch for batch in sampler for turn in batch] == [1] * 10
