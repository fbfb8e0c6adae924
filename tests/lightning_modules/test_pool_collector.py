"""The pool of a split: order, repeats, several ranks; numbering of captions."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from datamodules.sampling.pair_batches import rank_share
from evaluation.embedding_pool import EmbeddingPool, caption_slots
from lightning_modules.pool_collector import PoolCollector
from tests.support.ranks import on_ranks

FIELDS = ("audio", "audio_ids", "text", "caption_ids", "caption_audio")
# Ids of 7 recordings in no order, with 1 to 3 captions each, whose ids are in another order still.
AUDIO_IDS = [40, 7, 3, 900, 12, 5, 8]
CAPTIONS = {40: [2, 31], 7: [90], 3: [4, 1, 77], 900: [5], 12: [60, 3], 5: [8, 6, 0], 8: [50]}


def vector(number: int) -> list[float]:
    return [number, -number / 7, number**2 % 11]


def collect(collector: PoolCollector, audio_ids: list[int]) -> None:
    """Add a batch of these recordings and their captions."""
    captions = [(caption, audio) for audio in audio_ids for caption in CAPTIONS[audio]]
    collector.update(
        torch.tensor([vector(audio) for audio in audio_ids]),
        torch.tensor(audio_ids),
        torch.tensor([vector(1000 + caption) for caption, _ in captions]),
        torch.tensor([caption for caption, _ in captions]),
        torch.tensor([audio for _, audio in captions]),
    )


def pool_of(batches: list[list[int]]) -> dict[str, Tensor]:
    collector = PoolCollector()
    for batch in batches:
        collect(collector, batch)
    return as_dict(collector.compute())


def as_dict(pool: EmbeddingPool) -> dict[str, Tensor]:
    return {field: getattr(pool, field) for field in FIELDS}


def assert_whole(pool: dict[str, Tensor]) -> None:
    """Against a naive reference: everything in order of ids."""
    audio_ids = sorted(AUDIO_IDS)
    of_caption = sorted((caption, audio) for audio, captions in CAPTIONS.items() for caption in captions)
    assert pool["audio_ids"].tolist() == audio_ids
    assert pool["caption_ids"].tolist() == [caption for caption, _ in of_caption]
    assert torch.equal(pool["audio"], torch.tensor([vector(audio) for audio in audio_ids]))
    assert torch.equal(pool["text"], torch.tensor([vector(1000 + caption) for caption, _ in of_caption]))
    assert pool["caption_audio"].tolist() == [audio_ids.index(audio) for _, audio in of_caption]
    assert pool["audio"].dtype == pool["text"].dtype == torch.float32
    assert pool["audio_ids"].dtype == pool["caption_ids"].dtype == pool["caption_audio"].dtype == torch.int64


def work(rank: int) -> list[dict[str, Tensor]]:
    collector = PoolCollector()
    pools = []
    for _ in range(2):  # twice: nothing of an earlier split may remain
        mine = [AUDIO_IDS[row] for row in rank_share(len(AUDIO_IDS), rank, 2)]
        for batch in (mine[:3], mine[3:]):
            collect(collector, batch)
        pools.append(as_dict(collector.compute()))
        collector.reset()
    return pools


def test_two_ranks_with_a_padding_repeat_give_the_pool_of_one(tmp_path: Path) -> None:
    shares = [AUDIO_IDS[row] for rank in range(2) for row in rank_share(len(AUDIO_IDS), rank, 2)]
    assert Counter(shares)[AUDIO_IDS[0]] == 2  # else there is no repeat to remove
    for pools in on_ranks(work, tmp_path):
        for pool in pools:
            assert_whole(pool)


@given(st.permutations(AUDIO_IDS), st.lists(st.sampled_from(AUDIO_IDS), max_size=5), st.integers(1, 12))
def test_neither_order_nor_repeats_nor_batches_matter(order: list[int], repeats: list[int], batch: int) -> None:
    audio_ids = [*order, *repeats]
    assert_whole(pool_of([audio_ids[i : i + batch] for i in range(0, len(audio_ids), batch)]))


def test_a_pool_of_one_recording_with_one_caption_keeps_its_dimensions() -> None:
    pool = pool_of([[7]])
    assert {field: tuple(value.shape) for field, value in pool.items()} == {
        "audio": (1, 3),
        "audio_ids": (1,),
        "text": (1, 3),
        "caption_ids": (1,),
        "caption_audio": (1,),
    }


def test_embeddings_are_kept_in_float32_without_their_graph() -> None:
    collector = PoolCollector()
    half = torch.tensor([[0.5, 0.25]], dtype=torch.bfloat16, requires_grad=True)
    collector.update(half, torch.tensor([1]), half, torch.tensor([2]), torch.tensor([1]))
    pool = collector.compute()
    for values in (pool.audio, pool.text):
        assert values.dtype == torch.float32
        assert not values.requires_grad


def test_a_collector_has_nothing_to_save() -> None:
    collector = PoolCollector()
    collect(collector, AUDIO_IDS)
    assert collector.state_dict() == {}


@given(st.lists(st.integers(0, 6), max_size=30))
def test_caption_slots_count_earlier_captions_of_the_same_recording(rows: list[int]) -> None:
    seen: Counter[int] = Counter()
    expected = []
    for row in rows:
        expected.append(seen[row])
        seen[row] += 1
    assert caption_slots(np.array(rows, dtype=np.int64)).tolist() == expected


@pytest.mark.parametrize("rows", [[], [0], [5, 5, 5]])
def test_caption_slots_of_few(rows: list[int]) -> None:
    slots = caption_slots(np.array(rows, dtype=np.int64))
    assert slots.dtype == np.int64
    assert slots.tolist() == list(range(len(rows)))
