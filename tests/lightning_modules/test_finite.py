"""NaN that a model makes of good samples is named by the recording or caption, in training and in evaluation."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from common.errors import ModelError
from lightning_modules.finite import check_finite
from tests.support.tiny import TinyAudio, TinyData, tiny_model, tiny_trainer


class Breaks(TinyAudio):
    """Gives NaN, or infinity, for one recording of a batch."""

    bad = float("nan")

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        vectors = super().forward(waveforms, lengths)
        return torch.cat([vectors[:1], vectors[1:2] * self.bad, vectors[2:]])


@pytest.mark.parametrize("how", ["fit", "validate", "test"])
def test_a_recording_is_named(tmp_path: Path, how: str) -> None:
    model = tiny_model()
    model.audio_encoder = Breaks()
    with pytest.raises(ModelError, match=r"embedding of recording '\d+\.wav' is NaN: leave it out of the data"):
        getattr(tiny_trainer(tmp_path, max_epochs=1), how)(model, datamodule=TinyData())


def test_a_diverged_model_is_told_from_a_bad_recording() -> None:
    with pytest.raises(ModelError, match="embeddings of all 2 captions of a batch, 'a' first, are NaN: training"):
        check_finite(torch.full((2, 3), torch.nan), ["a", "b"], "caption")
    with pytest.raises(ModelError, match="embedding of caption 'b' is infinite"):
        check_finite(torch.tensor([[1.0], [-torch.inf]]), ["a", "b"], "caption")
    check_finite(torch.zeros(2, 3), ["a", "b"], "caption")
