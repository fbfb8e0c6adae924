"""Experts' features as an audio encoder: sizes, missing ones, refusals."""

import numpy as np
import pytest
import torch

from common.errors import DataError, ModelError
from datamodules.batch import Batch, Frames
from lightning_modules.audio_encoders import ExpertFeatures
from lightning_modules.matchers import Cosine
from lightning_modules.pooling import MaxPooling, MeanPooling
from lightning_modules.states import ExpertVectors
from tests.support.experts import DIMS, ExpertData, expert_model, features


def batch() -> Batch:
    return ExpertData().pairs([0, 2, 5, 9, 13, 17])


@pytest.mark.parametrize("pooling", [MeanPooling, MaxPooling])
def test_vectors_are_pooled_frames_up_to_the_limit(pooling: type[MeanPooling]) -> None:
    encoder, given = features(pooling), batch()
    assert (encoder.dim, encoder.is_frozen, encoder.reads_audio) == (8, True, False)
    found = encoder(*encoder.inputs(given))
    assert isinstance(found, ExpertVectors)
    assert list(found.vectors) == ["high", "low"]
    for number, name in enumerate(found.vectors):
        frames = given.experts[name]
        for row, length in enumerate(frames.lengths.tolist()):
            rows = frames.values[row, : min(length, 4)].numpy()
            expected = (rows.mean(0) if pooling is MeanPooling else rows.max(0)) if length else np.zeros(DIMS[name])
            np.testing.assert_allclose(found.vectors[name][row].numpy(), expected, atol=1e-6)
            assert found.present[row, number] == (length > 0)
    assert not found.present.all()


def test_a_batch_whose_recordings_all_miss_an_expert_has_no_frame_of_it() -> None:
    encoder, given = features(None), batch()
    given.experts["low"] = Frames(torch.zeros(6, 0, 3), torch.zeros(6, dtype=torch.int64))
    given.experts["high"].lengths.clamp_(min=1)
    found = encoder(*encoder.inputs(given))
    assert torch.equal(found.vectors["low"], torch.zeros(6, 3))
    assert not found.present[:, 1].any()


def test_stores_that_do_not_fit_are_refused_by_name() -> None:
    encoder, given = features(None), batch()
    given.experts["low"] = Frames(torch.zeros(6, 2, 4), torch.ones(6, dtype=torch.int64))
    with pytest.raises(DataError, match=r"^features of 'low' are of size 4, and model\.audio_encoder\.dims says 3$"):
        encoder.inputs(given)
    del given.experts["low"]
    with pytest.raises(DataError, match=r"^the data give no features of the expert 'low' \(but high\); add its"):
        encoder.inputs(given)


def test_a_recording_without_any_expert_is_named() -> None:
    given = batch()
    for frames in given.experts.values():
        frames.lengths[2] = 0
    with pytest.raises(
        DataError, match=r"^no expert \(high, low\) has features of '2\.wav'; leave that recording out$"
    ):
        expert_model(Cosine(4)).embed(given)


def test_options_that_make_no_encoder_are_refused() -> None:
    with pytest.raises(ModelError, match=r"^ExpertFeatures: pooling is given for 'x', and the experts are high, low$"):
        ExpertFeatures(DIMS, {"x": MeanPooling()})
    with pytest.raises(ModelError, match=r"^ExpertFeatures: max_frames: high is 0; give a number from 1$"):
        ExpertFeatures(DIMS, max_frames={"high": 0})
    with pytest.raises(ModelError, match=r"^ExpertFeatures: dims is \{\}: give each expert's size by its name"):
        ExpertFeatures({})


def test_pooling_beside_the_experts_own_is_refused() -> None:
    model = expert_model(Cosine(4), audio_pooling=MeanPooling())
    with pytest.raises(ModelError, match=r"^model\.audio_encoder gives one vector already: leave model\.audio_pooling"):
        model.embed(batch())
