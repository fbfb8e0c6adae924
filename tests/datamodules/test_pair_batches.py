"""Properties of the batches; what is feasible by an independent max-flow; the training loop's shuffles."""

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from torch.utils.data import DataLoader, Dataset, TensorDataset

from common.errors import DataError
from datamodules.sampling.pair_batches import Draw, PairBatchSampler, epoch_batches, rank_share

Refused = Callable[[Callable[[], object]], str]
IntArray = npt.NDArray[np.int64]
# Pairs of each recording, shuffled below: from captions of one clip only to many clips with one caption.
COUNTS = st.lists(st.integers(1, 7), min_size=1, max_size=25)


def pairs(counts: list[int], seed: int = 0) -> IntArray:
    """The recording of each pair, in any order; ids with gaps."""
    audio = np.repeat(3 * np.arange(len(counts)) + 7, counts)
    return np.random.default_rng(seed).permutation(audio)


def feasible(counts: list[int], batch_size: int) -> bool:
    """Whether B full batches exist: a flow of B * batch_size from recordings through batches, one unit an edge."""
    batches, recordings = sum(counts) // batch_size, len(counts)
    capacity = np.zeros((recordings + batches + 2, recordings + batches + 2), dtype=np.int32)
    source, sink = recordings + batches, recordings + batches + 1
    capacity[source, :recordings] = counts
    capacity[:recordings, recordings:source] = 1
    capacity[recordings:source, sink] = batch_size
    return int(maximum_flow(csr_array(capacity), source, sink).flow_value) == batches * batch_size


# --- batches of an epoch


@given(counts=COUNTS, batch_size=st.integers(1, 12), seed=st.integers(0, 2**32), epoch=st.integers(0, 99))
@settings(deadline=None)
def test_an_epoch_is_every_pair_once_but_for_the_remainder(
    counts: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    audio = pairs(counts)
    assume(len(audio) >= batch_size)
    batches = epoch_batches(audio, batch_size, seed, epoch, unique_audio=False)
    assert batches.shape == (len(audio) // batch_size, batch_size)
    assert len(np.unique(batches)) == batches.size == len(audio) - len(audio) % batch_size
    assert 0 <= batches.min() <= batches.max() < len(audio)


@given(counts=COUNTS, batch_size=st.integers(1, 12), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_unique_audio_is_kept_wherever_it_can_be(counts: list[int], batch_size: int, seed: int) -> None:
    audio = pairs(counts, seed)
    assume(len(audio) >= batch_size)
    if not feasible(counts, batch_size):
        with pytest.raises(DataError, match="without a repeated recording cannot be made"):
            epoch_batches(audio, batch_size, seed, 0, unique_audio=True)
        return
    batches = epoch_batches(audio, batch_size, seed, 0, unique_audio=True)
    assert batches.shape == (len(audio) // batch_size, batch_size)
    assert len(np.unique(batches)) == batches.size
    for batch in batches:
        assert len(set(audio[batch].tolist())) == batch_size


@pytest.mark.parametrize(("recordings", "captions", "batch_size"), [(2, 200, 2), (40, 40, 40), (33, 60, 32), (9, 2, 6)])
def test_unique_audio_with_hardly_more_recordings_than_places(recordings: int, captions: int, batch_size: int) -> None:
    audio = np.repeat(np.arange(recordings), captions)
    batches = epoch_batches(audio, batch_size, 0, 0, unique_audio=True)
    assert len(np.unique(batches)) == batches.size == len(audio) // batch_size * batch_size
    assert all(len(np.unique(audio[batch])) == batch_size for batch in batches)


@given(counts=COUNTS, batch_size=st.integers(1, 6), seed=st.integers(0, 2**32), epoch=st.integers(0, 99))
@settings(deadline=None)
def test_batches_depend_on_seed_and_epoch_alone(counts: list[int], batch_size: int, seed: int, epoch: int) -> None:
    audio = pairs(counts)
    assume(len(audio) >= batch_size and feasible(counts, batch_size))
    first = epoch_batches(audio, batch_size, seed, epoch, unique_audio=True)
    untouched = audio.copy()
    np.random.seed(1)  # no global state may matter
    torch.manual_seed(1)
    np.testing.assert_array_equal(epoch_batches(audio, batch_size, seed, epoch, unique_audio=True), first)
    np.testing.assert_array_equal(audio, untouched)


@pytest.mark.parametrize("unique_audio", [True, False])
def test_epochs_and_seeds_differ(unique_audio: bool) -> None:
    audio = np.repeat(np.arange(50), 5)
    drawn = [
        epoch_batches(audio, 32, seed, epoch, unique_audio=unique_audio) for seed in range(3) for epoch in range(3)
    ]
    assert len({batches.shape for batches in drawn}) == 1
    assert len({batches.tobytes() for batches in drawn}) == len(drawn)
    used = [set(batches.ravel().tolist()) for batches in drawn]
    assert len(set(map(frozenset, used))) == len(drawn), "the remainder changes, too"
    assert set.union(*used) == set(range(250))


def test_shuffling_is_fair() -> None:
    """Every pair comes first about equally often, with and without separation."""
    audio = np.repeat(np.arange(4), 3)
    for unique_audio in (True, False):
        first = [epoch_batches(audio, 3, 0, epoch, unique_audio=unique_audio)[0, 0] for epoch in range(1200)]
        counts = np.bincount(first, minlength=12)  # expected 100 each, standard deviation 9.6
        assert counts.min() > 60
        assert counts.max() < 140


def test_too_few_pairs(refused: Refused) -> None:
    assert refused(lambda: epoch_batches(np.arange(7), 8, 0, 0, unique_audio=True)) == (
        "7 training captions do not fill one batch of 8; lower data.batch_size"
    )
    assert "0 training captions" in refused(lambda: epoch_batches(np.empty(0, np.int64), 1, 0, 0, unique_audio=False))


def test_too_few_recordings(refused: Refused) -> None:
    audio = np.repeat(np.arange(5), 4)
    assert refused(lambda: epoch_batches(audio, 6, 0, 0, unique_audio=True)) == (
        "3 batches of 6 without a repeated recording cannot be made from 5 recordings; lower data.batch_size or set "
        "data.unique_audio to false"
    )
    assert epoch_batches(audio, 6, 0, 0, unique_audio=False).shape == (3, 6)


def test_one_recording_with_most_of_the_captions(refused: Refused) -> None:
    most = np.array([0] * 10 + [1, 2, 3, 4])  # 7 batches of 2 would need it twice in some
    assert "7 batches of 2" in refused(lambda: epoch_batches(most, 2, 0, 0, unique_audio=True))
    enough = np.array([0] * 4 + [1, 2, 3, 4])  # in each of 4 batches once
    batches = epoch_batches(enough, 2, 0, 0, unique_audio=True)
    assert ((enough[batches] == 0).sum(axis=1) == 1).all()


# --- ranks


@given(
    counts=COUNTS,
    batch_size=st.integers(1, 4),
    world_size=st.integers(1, 4),
    unique_audio=st.booleans(),
    epoch=st.integers(0, 9),
)
@settings(deadline=None)
def test_shares_of_the_ranks_make_the_global_batches(
    counts: list[int], batch_size: int, world_size: int, unique_audio: bool, epoch: int
) -> None:
    audio = pairs(counts)
    whole = batch_size * world_size
    assume(len(audio) >= whole and (not unique_audio or feasible(counts, whole)))
    samplers = [
        PairBatchSampler(audio, batch_size, 5, unique_audio=unique_audio, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(sampler) for sampler in samplers} == {len(audio) // whole}
    assert all(len(batch) == batch_size for share in shares for batch in share)
    assert all(draw.epoch == epoch for share in shares for batch in share for draw in batch)
    joined = [[draw.row for part in parts for draw in part] for parts in zip(*shares, strict=True)]
    single = PairBatchSampler(audio, whole, 5, unique_audio=unique_audio)
    single.set_epoch(epoch)
    assert joined == [[draw.row for draw in batch] for batch in single]
    assert joined == epoch_batches(audio, whole, 5, epoch, unique_audio=unique_audio).tolist()


def test_length_is_constant_over_epochs() -> None:
    sampler = PairBatchSampler(np.repeat(np.arange(11), 5), 4, 0)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        assert len(sampler) == len(list(sampler)) == 13


def test_an_epoch_that_is_under_way_keeps_its_shuffle() -> None:
    sampler = PairBatchSampler(np.arange(12), 4, 0)
    expected = list(sampler)
    batches = iter(sampler)
    begun = [next(batches)]
    sampler.set_epoch(1)
    assert begun + list(batches) == expected


@given(done=st.integers(0, 13), epoch=st.integers(0, 3), rank=st.integers(0, 1))
@settings(deadline=None)
def test_an_epoch_goes_on_after_the_batches_that_are_done(done: int, epoch: int, rank: int) -> None:
    whole, resumed = (PairBatchSampler(np.repeat(np.arange(11), 5), 2, 0, rank=rank, world_size=2) for _ in range(2))
    resumed.resume(epoch, done)
    whole.set_epoch(epoch)
    assert list(resumed) == list(whole)[done:]
    assert len(resumed) == 13
    for sampler in (whole, resumed):
        sampler.set_epoch(epoch + 1)
    assert list(resumed) == list(whole)


@given(count=st.integers(0, 60), world_size=st.integers(1, 9))
@settings(deadline=None)
def test_rank_share(count: int, world_size: int) -> None:
    shares = [rank_share(count, rank, world_size) for rank in range(world_size)]
    assert {len(share) for share in shares} == {-(-count // world_size)}
    together = np.concatenate(shares)
    assert sorted(set(together.tolist())) == list(range(count))
    if count:
        repeats = len(together) - count
        assert 0 <= repeats < world_size
        in_turn = np.stack(shares, axis=1).ravel()  # (per rank * W,) as the ranks advance together
        assert in_turn.tolist() == [i % count for i in range(len(together))]


# --- inside a training loop


class Recorder(L.LightningModule):
    """Notes the draws of each training epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.seen: dict[int, list[list[Draw]]] = {}

    def training_step(self, batch: list[Draw], batch_idx: int) -> torch.Tensor:
        self.seen.setdefault(self.current_epoch, []).append(batch)
        return self.layer(torch.ones(2)).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("loss", -float(self.current_epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Echo(Dataset[Draw]):
    def __getitem__(self, draw: Draw) -> Draw:
        return draw


def fit(epochs: int, folder: Any, resume: Any = None) -> Recorder:
    audio = np.repeat(np.arange(10), 3)
    loader = DataLoader(Echo(), batch_sampler=PairBatchSampler(audio, 8, seed=3), collate_fn=list)
    model = Recorder()
    saving = L.pytorch.callbacks.ModelCheckpoint(dirpath=folder, monitor="loss", save_last=True)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[saving],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(model, loader, DataLoader(TensorDataset(torch.zeros(1))), ckpt_path=resume, weights_only=True)
    return model


@pytest.mark.filterwarnings("ignore")
def test_every_epoch_of_a_training_run_is_shuffled_again_also_after_a_restart(tmp_path: Any) -> None:
    audio = np.repeat(np.arange(10), 3)
    expected = {
        epoch: [[Draw(row, epoch) for row in batch] for batch in rows.tolist()]
        for epoch in range(3)
        for rows in [epoch_batches(audio, 8, 3, epoch, unique_audio=True)]
    }
    assert fit(3, tmp_path / "whole").seen == expected
    fit(2, tmp_path / "restarted")
    resumed = fit(3, tmp_path / "restarted", resume=tmp_path / "restarted" / "last.ckpt")
    assert resumed.seen == {2: expected[2]}
