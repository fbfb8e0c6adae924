"""Augmentation in an encoder: it acts in training, whether or not the encoder's weights are trained."""

import pytest
import torch
from torch import Tensor

from common.errors import ModelError
from lightning_modules.audio_encoders import SmallCNN
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.training.embedding_cache import check_same_in_training
from relevance.objectives.listnet import ListNet
from tests.support.tiny import KindRelevance, TinyAudio, TinyText

CAPTIONS = ["loud dog", "distant rain"]


class WordsDropped(TinyText):
    """Leaves out the first word in training."""

    def forward(self, captions: list[str]) -> Tensor:
        return super().forward([caption.split()[-1] if self.training else caption for caption in captions])


class Louder(TinyAudio):
    """Changes levels at random in training."""

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        gain = torch.rand(len(waveforms), 1) if self.training else 1.0
        return super().forward(gain * waveforms, lengths)


@pytest.mark.parametrize("frozen", [False, True])
def test_augmentation_acts_in_training_alone(frozen: bool) -> None:
    audio, text = Louder(dropout=0.5), WordsDropped(dropout=0.5)
    if frozen:
        audio.requires_grad_(False)
        text.requires_grad_(False)
    model = DualEncoder(audio, text, KindRelevance(), ListNet(), matcher=Cosine(4))
    sound = torch.randn(2, 40), torch.tensor([40, 30])
    assert audio.dropout.training == text.dropout.training == (not frozen)
    if frozen:
        assert torch.equal(text(CAPTIONS), text(["dog", "rain"]))  # no dropout either
    assert not torch.equal(audio(*sound), audio(*sound))
    model.eval()
    assert torch.equal(audio(*sound), audio(*sound))
    assert not torch.equal(text(CAPTIONS), text(["dog", "rain"]))


def test_masks_of_a_frozen_network_act() -> None:
    network = SmallCNN(dim=8, width=2, time_masks=2, dropout=0.5).requires_grad_(False).train()
    sound = torch.randn(2, 16_000), torch.tensor([16_000, 9_000])
    assert not torch.equal(network(*sound), network(*sound))
    assert torch.equal(network.eval()(*sound), network(*sound))
    assert int(network.get_buffer("standardise.num_batches_tracked")) == 0


def test_an_encoder_that_augments_is_not_looked_up_in_a_table() -> None:
    sound = torch.randn(2, 40), torch.tensor([40, 30])
    cases = [(Louder(), sound), (WordsDropped(), (CAPTIONS,))]
    for encoder, inputs in cases:
        encoder.requires_grad_(False).train()
        state = torch.get_rng_state()
        with pytest.raises(
            ModelError, match=rf"cache_frozen is true, but {type(encoder).__name__} augments its inputs"
        ):
            check_same_in_training(encoder, *inputs)
        assert encoder.training
        assert torch.equal(torch.get_rng_state(), state)
    check_same_in_training(TinyAudio(dropout=0.5).requires_grad_(False), *sound)
