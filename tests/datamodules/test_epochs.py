"""Epochs of one caption a recording, short last batches, and validation with first captions."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError
from datamodules.clotho import Clotho
from datamodules.sampling.pair_batches import PairBatchSampler, one_caption_each
from tests.support.corpus import write_corpus

Ints = npt.NDArray[np.int64]


def pairs_of(sampler: PairBatchSampler, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return [[draw.row for draw in batch] for batch in sampler]


@given(
    counts=st.lists(st.integers(1, 5), min_size=2, max_size=20),
    size=st.integers(1, 6),
    world=st.integers(1, 3),
    epoch=st.integers(0, 5),
    keep=st.booleans(),
)
def test_every_recording_once_with_one_caption(
    counts: list[int], size: int, world: int, epoch: int, keep: bool
) -> None:
    audio = np.repeat(np.arange(len(counts)), counts)
    whole = size * world
    samplers = [
        PairBatchSampler(audio, size, 3, one_caption=True, keep_last=keep, rank=rank, world_size=world)
        for rank in range(world)
    ]
    rest = len(counts) % whole // world * world
    if not (keep and rest >= 2) and len(counts) < whole:
        with pytest.raises(DataError, match="do not fill one batch"):
            len(samplers[0])
        return
    ranks = [pairs_of(sampler, epoch) for sampler in samplers]
    sizes = [size] * (len(counts) // whole) + ([rest // world] if keep and rest >= 2 else [])
    assert all([len(batch) for batch in batches] == sizes for batches in ranks)
    drawn = [pair for batches in ranks for batch in batches for pair in batch]
    assert len(set(audio[drawn])) == len(drawn) == sum(sizes) * world
    assert len(samplers[0]) == len(sizes)
    assert ranks == [pairs_of(sampler, epoch) for sampler in samplers]


def test_captions_are_drawn_evenly_and_independently_of_other_recordings() -> None:
    audio = np.repeat(np.arange(400), 5)
    draws = np.stack([one_caption_each(audio, 0, epoch) for epoch in range(50)])  # (epochs, A)
    share = np.bincount(draws.ravel() % 5) / draws.size
    np.testing.assert_allclose(share, 0.2, atol=0.02)
    assert (draws[0] != draws[1]).any()
    some = audio[audio % 2 == 0]
    rows = np.searchsorted(np.unique(some), some)
    part = one_caption_each(rows, 0, 7, audio_ids=np.unique(some))
    np.testing.assert_array_equal(part % 5, draws[7, ::2] % 5)


def test_an_epoch_is_resumed_after_its_batches() -> None:
    audio = np.repeat(np.arange(11), 3)
    sampler = PairBatchSampler(audio, 4, 0, one_caption=True, keep_last=True)
    whole = pairs_of(sampler, 2)
    resumed = PairBatchSampler(audio, 4, 0, one_caption=True, keep_last=True)
    resumed.resume(2, 2)
    assert [[draw.row for draw in batch] for batch in resumed] == whole[2:]
    assert len(whole[2]) == 3


def test_a_last_batch_that_would_repeat_a_recording_is_refused() -> None:
    with pytest.raises(DataError, match=r"set data.captions_per_epoch to one, or data.unique_audio to false"):
        PairBatchSampler(np.array([0, 0, 1]), 2, 0, keep_last=True)
    audio = np.repeat(np.arange(5), 2)
    sampler = PairBatchSampler(audio, 4, 0, unique_audio=False, keep_last=True)
    assert sorted(pair for batch in pairs_of(sampler) for pair in batch) == list(range(10))


def test_the_data_module_takes_these_options(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path)
    data = Clotho(
        str(corpus.root),
        captions_per_epoch="one",
        last_batch="keep",
        validation_captions="first",
        sample_rate=8000,
        num_workers=0,
        batch_size=2,
    )
    data.setup("fit")
    recordings = len(data.tables["train"].audio)
    batches = list(data.train_dataloader())
    names = [name for batch in batches for name in batch.names]
    assert len(names) == len(set(names)) == recordings - (recordings % 2 == 1)
    first = {row.name: row.captions[0] for row in data.annotations("validation")}
    for batch in data.val_dataloader():
        assert dict(zip(batch.names, batch.captions, strict=True)).items() <= first.items()
    assert data.tables["validation"].manifest()["captions"] == len(first)
