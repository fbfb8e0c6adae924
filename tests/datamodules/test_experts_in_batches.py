"""Batches with experts' frames."""

import numpy as np
from lightning.fabric.utilities import move_data_to_device

from datamodules.batch import Batch, Example, Frames, collate


def example(audio_id: int, **experts: np.ndarray) -> Example:
    waveform = np.zeros(2, np.float32)
    return Example(waveform, audio_id, f"{audio_id}.wav", ["a caption"], [audio_id], experts)


def test_frames_are_padded_with_zeros_and_a_missing_expert_has_none() -> None:
    first, second = np.ones((3, 2), np.float32), np.full((1, 2), 2, np.float32)
    nothing = np.empty((0, 4), np.float32)
    batch = collate([example(0, a=first, b=nothing), example(1, a=second, b=np.ones((2, 4), np.float32))])

    assert list(batch.experts) == ["a", "b"]
    assert batch.experts["a"].values.tolist() == [[[1, 1], [1, 1], [1, 1]], [[2, 2], [0, 0], [0, 0]]]
    assert batch.experts["a"].lengths.tolist() == [3, 1]
    assert batch.experts["b"].lengths.tolist() == [0, 2]


def test_frames_move_with_their_batch() -> None:
    batch = collate([example(0, a=np.ones((3, 2), np.float32))])
    moved = move_data_to_device(batch, "meta")
    assert isinstance(moved, Batch)
    assert isinstance(moved.experts["a"], Frames)
    assert moved.experts["a"].values.device.type == "meta"


def test_batches_without_experts_have_no_frames() -> None:
    assert collate([example(0)]).experts == {}
