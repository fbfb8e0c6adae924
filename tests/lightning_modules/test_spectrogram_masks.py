"""Masks of spectrograms: what they hide, in every encoder that looks at one, in training alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from common.errors import ModelError
from lightning_modules.audio_encoders import AudioEncoder, HuggingFaceAudio, MelStatistics, PaSST, SmallCNN, VGGish
from lightning_modules.audio_encoders.spectrogram_masks import SpectrogramMasks
from lightning_modules.audio_encoders.vggsound import VGGSoundResNet18
from lightning_modules.states import States
from tests.support.audio_models import noise, save_ast, save_clap, save_wav2vec2
from tests.support.tiny import tiny_model

PLAIN: dict[str, Any] = dict.fromkeys(("patchout_time", "patchout_frequency", "fmin_jitter", "fmax_jitter"), 0)
ENCODERS: dict[str, Callable[[Path], AudioEncoder]] = {
    "SmallCNN": lambda folder: SmallCNN(dim=8, width=2, n_mels=16),
    "MelStatistics": lambda folder: MelStatistics(n_mels=8, window=10),
    "PaSST": lambda folder: PaSST(**PLAIN, dim=32, depth=1, heads=2),
    "VGGish": lambda folder: VGGish(),
    "VGGSound": lambda folder: VGGSoundResNet18(),
    "AST": lambda folder: HuggingFaceAudio(str(save_ast(folder)), window_seconds=0.5),
    "CLAP": lambda folder: HuggingFaceAudio(str(save_clap(folder)), pooling="model"),
}


def values(encoder: AudioEncoder, sound: tuple[Tensor, Tensor]) -> Tensor:
    torch.manual_seed(3)
    with torch.no_grad():
        found = encoder(*sound)
    return found.values if isinstance(found, States) else found


def test_how_much_is_hidden() -> None:
    masks = SpectrogramMasks(time_masks=1, time_share=0.25, frequency_masks=1, frequency_share=0.5)
    before = torch.rand(400, 8, 20) + 1
    torch.manual_seed(0)
    after = masks.hide(before)
    hidden = after != before
    level = before.mean((1, 2), keepdim=True).expand_as(before)
    assert torch.equal(after[hidden], level[hidden])
    columns, rows = hidden.all(1).sum(1), hidden.all(2).sum(1)
    assert columns.max() == 5
    assert rows.max() == 4
    assert columns.min() == rows.min() == 0
    assert set(masks.hide(before, 0.0).unique().tolist()) <= {0.0, *before.unique().tolist()}
    nothing = SpectrogramMasks(time_masks=0, frequency_masks=0)
    assert torch.equal(nothing.hide(before), before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_masks_act_in_training_alone(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS[name](tmp_path).requires_grad_(False)
    assert encoder.has_spectrogram
    sound = noise(encoder.sample_rate, 1.2, 1.0)
    encoder.train()
    plain = values(encoder, sound)
    encoder.masks = SpectrogramMasks(time_masks=0, frequency_masks=0)
    assert torch.equal(values(encoder, sound), plain)
    encoder.masks = SpectrogramMasks(time_share=0.9, frequency_share=0.9)
    assert not torch.equal(values(encoder, sound), plain)
    encoder.eval()
    masked = values(encoder, sound)
    encoder.masks = None
    assert torch.equal(values(encoder, sound), masked)


@pytest.mark.slow
def test_an_encoder_without_a_spectrogram_is_refused(tmp_path: Path) -> None:
    assert not HuggingFaceAudio(str(save_wav2vec2(tmp_path))).has_spectrogram
    with pytest.raises(ModelError, match=r"^model\.spectrogram_masks is given, but TinyAudio looks at no spectrogram"):
        tiny_model(spectrogram_masks=SpectrogramMasks())


def test_numbers_out_of_range() -> None:
    with pytest.raises(ModelError, match=r"^model\.spectrogram_masks: time_share is 1\.5; give a number from 0 to 1"):
        SpectrogramMasks(time_share=1.5)
