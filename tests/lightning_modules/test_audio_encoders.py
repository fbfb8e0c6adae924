"""SmallCNN, and what every audio encoder promises."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from common.errors import ModelError
from lightning_modules.audio_encoders import AudioEncoder, PaSST, SmallCNN
from lightning_modules.audio_encoders.base import silence_padding
from lightning_modules.audio_encoders.cnn import normed_frames
from lightning_modules.audio_encoders.spectrogram_masks import hide_stretch
from tests.support.audio_models import assert_batch_does_not_matter, noise


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


# ---- all encoders ----------------------------------------------------------------------------------------------------


def test_silence_padding_equals_a_loop() -> None:
    waveforms, lengths = torch.randn(4, 9), torch.tensor([0, 3, 8, 9])
    expected = waveforms.clone()
    for row, length in enumerate(lengths):
        expected[row, length:] = 0
    assert torch.equal(silence_padding(waveforms, lengths), expected)


@pytest.mark.parametrize(
    ("class_path", "init_args", "kind"),
    [
        ("SmallCNN", {"dim": 8, "width": 4, "time_masks": 2}, SmallCNN),
        ("PaSST", {"dim": 8, "depth": 1, "heads": 2, "mask_padding": True}, PaSST),
    ],
)
def test_encoders_are_built_from_a_config(class_path: str, init_args: dict[str, Any], kind: type[AudioEncoder]) -> None:
    parser = ArgumentParser()
    parser.add_argument("--encoder", type=AudioEncoder)
    config = {"encoder": {"class_path": f"lightning_modules.audio_encoders.{class_path}", "init_args": init_args}}
    encoder = parser.instantiate(parser.parse_object(config)).encoder
    assert type(encoder) is kind
    assert encoder.dim == 8


# ---- SmallCNN --------------------------------------------------------------------------------------------------------


def small_cnn(**options: Any) -> SmallCNN:
    """A network whose batch norms have seen something, so that they are not the identity."""
    encoder = SmallCNN(dim=16, width=4, **options).train()
    for _ in range(3):
        encoder(*noise(16_000, 0.5, 0.9, 0.7))
    return encoder


@pytest.fixture(scope="module")
def trained_cnn() -> SmallCNN:
    torch.manual_seed(0)
    return small_cnn().eval()


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 9000), padding=st.integers(0, 9000))
def test_padding_does_not_change_an_embedding(trained_cnn: SmallCNN, length: int, padding: int) -> None:
    waveform = torch.randn(1, length)
    padded = torch.cat([waveform, torch.randn(1, padding)], 1)
    with torch.no_grad():
        alone = trained_cnn(waveform, torch.tensor([length]))
        torch.testing.assert_close(trained_cnn(padded, torch.tensor([length])), alone, atol=1e-4, rtol=1e-3)


def test_cnn_embeds_clips_independently(trained_cnn: SmallCNN) -> None:
    assert_batch_does_not_matter(trained_cnn, 0.31, 2, 1.234)


def test_cnn_standardises_levels() -> None:
    """After training on loud audio or on quiet audio, the layers see the same."""
    waveforms, lengths = noise(16_000, 1, 1, 1, 1)
    spectrograms = SmallCNN(dim=8, width=2).spectrogram(waveforms)
    mask = torch.ones(4, spectrograms.shape[2], dtype=torch.bool)
    loud, quiet = (normed_frames(nn.BatchNorm1d(64), each, mask) for each in (spectrograms, spectrograms - 4))
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(loud.mean((0, 2)), torch.zeros(64), atol=1e-4, rtol=0)
    torch.testing.assert_close(loud.var((0, 2)), torch.ones(64), atol=0.02, rtol=0)
    assert len(lengths) == 4


def test_frame_norm_does_not_count_padding() -> None:
    frames = torch.randn(2, 3, 10)
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 4:] = False
    norm = nn.BatchNorm1d(3)
    normed = normed_frames(norm, frames, mask)
    heard = torch.cat([frames[0], frames[1, :, :4]], 1)  # (3, 14)
    expected = (heard - heard.mean(1, keepdim=True)) / (heard.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(torch.cat([normed[0], normed[1, :, :4]], 1), expected)
    assert (normed[1, :, 4:] == 0).all()
    torch.testing.assert_close(norm.running_mean, 0.1 * heard.mean(1))


@settings(max_examples=30, deadline=None)
@given(axis=st.sampled_from([1, 2]), widest=st.integers(0, 12), seed=st.integers(0, 1000))
def test_hidden_stretches_are_connected_and_not_too_wide(axis: int, widest: int, seed: int) -> None:
    torch.manual_seed(seed)
    hidden = hide_stretch(torch.ones(6, 8, 10), axis, widest) == 0
    for clip in hidden:
        line = clip.any(dim=2 - axis)
        assert torch.equal(clip, (line[:, None] if axis == 1 else line[None]).expand(8, 10))
        positions = line.nonzero()[:, 0]
        assert len(positions) <= widest
        assert len(positions) == 0 or positions[-1] - positions[0] + 1 == len(positions)


def test_widths_of_hidden_stretches_are_uniform() -> None:
    widths = (hide_stretch(torch.ones(6000, 1, 20), 2, 3) == 0).sum((1, 2))
    counts = torch.bincount(widths, minlength=4) / 6000
    torch.testing.assert_close(counts, torch.full((4,), 0.25), atol=0.03, rtol=0)


def test_spec_augment_acts_in_training_only_and_follows_the_seed() -> None:
    encoder = small_cnn(time_masks=2, frequency_masks=2, dropout=0.5)
    waveforms, lengths = noise(16_000, 1, 1)
    torch.manual_seed(1)
    first, second = encoder.train()(waveforms, lengths), encoder(waveforms, lengths)
    torch.manual_seed(1)
    torch.testing.assert_close(encoder(waveforms, lengths), first)
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(encoder.eval()(waveforms, lengths), encoder(waveforms, lengths))


def test_cnn_gives_every_parameter_a_gradient() -> None:
    encoder = SmallCNN(dim=8, width=2).train()
    encoder(*noise(16_000, 0.5, 0.8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_cnn_learns_to_tell_pitches_apart() -> None:
    """Low, middle and high tones in noise: a few steps suffice, and clips of another length are told apart too."""
    encoder, classify = SmallCNN(dim=16, width=4).train(), torch.nn.Linear(16, 3)
    optimiser = torch.optim.Adam([*encoder.parameters(), *classify.parameters()], lr=0.01)

    def tones(samples: int) -> tuple[Tensor, Tensor, Tensor]:
        labels = torch.arange(24) % 3
        pitch = torch.tensor([300.0, 1000.0, 3000.0])[labels] * (1 + 0.2 * torch.rand(24))
        waves = torch.sin(2 * torch.pi * pitch[:, None] * torch.arange(samples) / 16_000)
        return 0.1 * waves + 0.02 * torch.randn(24, samples), torch.full((24,), samples), labels

    for _ in range(25):
        waveforms, lengths, labels = tones(4000)
        loss = torch.nn.functional.cross_entropy(classify(encoder(waveforms, lengths)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    waveforms, lengths, labels = tones(6000)
    predicted = classify(encoder.eval()(waveforms, lengths)).argmax(1)
    assert (predicted == labels).float().mean() > 0.9


def test_mel_bands_must_be_a_multiple_of_eight() -> None:
    with pytest.raises(ModelError, match="n_mels 60 is not a multiple of 8"):
        SmallCNN(n_mels=60)
