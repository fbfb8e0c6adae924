"""Small frame-level experts: statistics of a spectrogram, and the features of a trained SmallCNN."""

from pathlib import Path

import pytest
import torch

from common.errors import ModelError
from lightning_modules.audio_encoders import MelStatistics, SmallCNN
from lightning_modules.states import States
from tests.support.audio_models import noise


def test_statistics_equal_a_loop_over_windows_without_padding() -> None:
    encoder = MelStatistics(n_mels=8, window=5)
    waveforms, lengths = noise(16_000, 0.5, 0.33)
    values, counts = encoder(waveforms, lengths)
    for row, length in enumerate(lengths.tolist()):
        levels = encoder.spectrogram(waveforms[row : row + 1, :length])[0]  # (M, frames)
        windows = levels.split(5, dim=1)
        assert int(counts[row]) == len(windows)
        for frame, window in enumerate(windows):
            expected = torch.cat([window.mean(1), window.std(1, correction=0)])
            torch.testing.assert_close(values[row, frame], expected, atol=1e-4, rtol=1e-4)
    assert encoder.hop_seconds == pytest.approx(0.1)


def test_frames_of_a_trained_network_pool_to_its_vector(tmp_path: Path) -> None:
    trained = SmallCNN(dim=16, width=4).eval()
    state = {f"audio_encoder.{name}": value for name, value in trained.state_dict().items()}
    torch.save({"state_dict": {**state, "matcher.weight": torch.ones(1)}}, tmp_path / "best.ckpt")
    frames = SmallCNN(dim=16, width=4, pooling="none", checkpoint=str(tmp_path / "best.ckpt")).eval()
    waveforms, lengths = noise(16_000, 0.5, 0.9)
    given = frames(waveforms, lengths)
    assert isinstance(given, States)
    assert frames.hop_seconds == pytest.approx(0.08)
    rows = [values[:length] for values, length in zip(*given, strict=True)]
    pooled = torch.stack([torch.cat([each.mean(0), each.amax(0)]) for each in rows])
    torch.testing.assert_close(trained.project(pooled), trained(waveforms, lengths))


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="pooling is 'mean': give mean_max or none"):
        SmallCNN(pooling="mean")  # type: ignore[arg-type]
    torch.save({"state_dict": {"audio_encoder.x": torch.ones(1)}}, tmp_path / "best.ckpt")
    with pytest.raises(ModelError, match=r"best.ckpt: holds no weights of this SmallCNN \(.* missing"):
        SmallCNN(checkpoint=str(tmp_path / "best.ckpt"))
