"""Front ends against loops in NumPy, and PaSST's own program where it is at hand."""

import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import ModelError
from lightning_modules.audio_encoders.spectrograms import LogMel, PasstSpectrogram, fft_mels, mel_bank

Array = NDArray[np.float64]


def naive_mel(hertz: float) -> float:
    return 1127.0 * float(np.log(1.0 + hertz / 700.0))


def naive_bank(n_mels: int, n_fft: int, sample_rate: int, fmin: float, fmax: float) -> Array:
    """Kaldi's formula (feat/mel-computations.cc), a loop over filters and bins; the Nyquist bin has no weight."""
    low, high = naive_mel(fmin), naive_mel(fmax)
    step = (high - low) / (n_mels + 1)
    bank = np.zeros((n_mels, n_fft // 2 + 1))
    for band in range(n_mels):
        left, centre, right = low + band * step, low + (band + 1) * step, low + (band + 2) * step
        for k in range(n_fft // 2):
            mel = naive_mel(k * sample_rate / n_fft)
            if left < mel < right:
                bank[band, k] = (mel - left) / (centre - left) if mel <= centre else (right - mel) / (right - centre)
    return bank


def naive_power(signal: Array, n_fft: int, hop: int, window: Array, mode: str) -> Array:
    """One FFT a frame; the window is centred in the FFT's frame, the frame on its sample."""
    padded = np.pad(signal, n_fft // 2, mode=mode)  # type: ignore[call-overload]
    margin = (n_fft - len(window)) // 2
    window = np.pad(window, (margin, n_fft - len(window) - margin))
    frames = [padded[start : start + n_fft] * window for start in range(0, len(signal) + 1, hop)]
    return np.stack([np.abs(np.fft.rfft(frame)) ** 2 for frame in frames], 1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# ---- mel filters -----------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    n_mels=st.integers(1, 40),
    sample_rate=st.sampled_from([16_000, 32_000]),
    fmin=st.floats(0, 500),
    width=st.floats(0.3, 1),
)
def test_mel_bank_equals_kaldis_formula(n_mels: int, sample_rate: int, fmin: float, width: float) -> None:
    fmax = fmin + width * (sample_rate / 2 - fmin)
    bank = mel_bank(fft_mels(256, sample_rate), n_mels, fmin, fmax)
    expected = naive_bank(n_mels, 256, sample_rate, fmin, fmax)
    np.testing.assert_allclose(bank.numpy(), expected, atol=5e-4)  # float32 mels of some 3,000


def test_passts_filters_equal_kaldis_formula() -> None:
    np.testing.assert_allclose(PasstSpectrogram().bank.numpy(), naive_bank(128, 1024, 32_000, 0, 15_000), atol=1e-4)


# ---- PaSST -----------------------------------------------------------------------------------------------------------


def test_passt_spectrogram_equals_numpy() -> None:
    waveforms = 0.1 * torch.randn(2, 6400)
    expected = []
    for signal in waveforms.double().numpy():
        emphasised = signal[1:] - 0.97 * signal[:-1]
        power = naive_power(emphasised, 1024, 320, np.hanning(800), "reflect")
        expected.append((np.log(naive_bank(128, 1024, 32_000, 0, 15_000) @ power + 1e-5) + 4.5) / 5)
    spectrogram = PasstSpectrogram().eval()(waveforms)
    assert spectrogram.shape == (2, 128, 20)
    np.testing.assert_allclose(spectrogram.numpy(), np.stack(expected), atol=1e-4)


def test_ten_seconds_are_a_thousand_frames() -> None:
    assert PasstSpectrogram().eval()(torch.zeros(1, 320_000)).shape == (1, 128, 1000)


@pytest.mark.parametrize("training", [False, True])
def test_passt_spectrogram_equals_the_original(monkeypatch: pytest.MonkeyPatch, training: bool) -> None:
    """With $HEAR21PASST_DIR or hear21passt installed; torchaudio's one function is replaced by the loop above."""
    if not (folder := os.environ.get("HEAR21PASST_DIR", "")):
        found = importlib.util.find_spec("hear21passt")
        if found is None or not found.submodule_search_locations:
            pytest.skip("hear21passt is not installed and HEAR21PASST_DIR is not set")
        folder = found.submodule_search_locations[0]

    def get_mel_banks(
        n_mels: int, n_fft: int, sr: int, fmin: float, fmax: float, **_: float
    ) -> tuple[torch.Tensor, None]:
        return torch.from_numpy(naive_bank(n_mels, n_fft, sr, fmin, fmax)[:, :-1]).float(), None

    kaldi = types.SimpleNamespace(get_mel_banks=get_mel_banks)
    torchaudio = types.ModuleType("torchaudio")
    monkeypatch.setattr(torchaudio, "compliance", types.SimpleNamespace(kaldi=kaldi), raising=False)
    monkeypatch.setitem(sys.modules, "torchaudio", torchaudio)
    source = importlib.util.spec_from_file_location("original_preprocess", Path(folder) / "models" / "preprocess.py")
    assert source is not None
    assert source.loader is not None
    original = importlib.util.module_from_spec(source)
    source.loader.exec_module(original)
    theirs = original.AugmentMelSTFT(freqm=0, timem=0, fmin_aug_range=10, fmax=15_000, fmax_aug_range=2000)

    waveforms = 0.1 * torch.randn(2, 16_000)
    ours = PasstSpectrogram()
    torch.manual_seed(4)
    expected = theirs.train(training)(waveforms)
    torch.manual_seed(4)
    torch.testing.assert_close(ours.train(training)(waveforms), expected, atol=1e-4, rtol=1e-4)


def test_jitter_is_drawn_in_training_from_torchs_generator() -> None:
    front_end = PasstSpectrogram()
    waveforms = 0.1 * torch.randn(1, 6400)
    plain = front_end.eval()(waveforms)
    torch.manual_seed(1)
    first, second = front_end.train()(waveforms), front_end(waveforms)
    torch.manual_seed(1)
    assert torch.equal(front_end(waveforms), first)
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(front_end.eval()(waveforms), plain)
    assert torch.equal(PasstSpectrogram(fmin_jitter=0, fmax_jitter=0).train()(waveforms), plain)


def test_jitter_stays_within_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    edges: list[tuple[float, float]] = []
    monkeypatch.setattr(
        "lightning_modules.audio_encoders.spectrograms.mel_bank",
        lambda bin_mels, n_mels, fmin, fmax: edges.append((fmin, fmax)) or torch.zeros(n_mels, len(bin_mels)),
    )
    front_end = PasstSpectrogram().train()
    edges.clear()
    for _ in range(300):
        front_end(torch.zeros(1, 1000))
    lower, upper = zip(*edges, strict=True)
    assert set(lower) == set(range(10))
    assert 14_000 < min(upper) < 14_100
    assert 15_900 < max(upper) <= 16_000


def test_jitter_beyond_the_nyquist_frequency_is_refused() -> None:
    with pytest.raises(
        ModelError, match="fmax_jitter 3000: give whole Hz of at least 0, and for fmax_jitter at most 2000"
    ):
        PasstSpectrogram(fmax_jitter=3000)


# ---- LogMel ----------------------------------------------------------------------------------------------------------


def test_log_mel_equals_numpy() -> None:
    waveforms = 0.1 * torch.randn(2, 3000)
    front_end = LogMel(sample_rate=16_000, n_mels=20, hop=160, n_fft=512, fmin=60, fmax=7000)
    bank, window = naive_bank(20, 512, 16_000, 60, 7000), np.hanning(513)[:-1]
    expected = [
        np.log(bank @ naive_power(signal, 512, 160, window, "constant") + 1e-6) for signal in waveforms.double().numpy()
    ]
    np.testing.assert_allclose(front_end(waveforms).numpy(), np.stack(expected), atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, 2000), padding=st.integers(0, 2000))
def test_appended_silence_changes_no_frame_of_log_mel(length: int, padding: int) -> None:
    front_end = LogMel(n_mels=8, n_fft=256, hop=100)
    waveform = torch.randn(1, length)
    frames = int(front_end.frames(torch.tensor([length])))
    alone = front_end(waveform)
    padded = front_end(torch.nn.functional.pad(waveform, (0, padding)))
    assert alone.shape[2] == frames
    torch.testing.assert_close(padded[..., :frames], alone, atol=1e-4, rtol=1e-4)


def test_edges_of_the_filters_are_checked() -> None:
    with pytest.raises(ModelError, match="fmin 50, fmax 9000: mel filters need 0 <= fmin < fmax <= 8000 Hz"):
        LogMel(fmax=9000)


# ---- both ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front_end", [PasstSpectrogram(), LogMel()], ids=["passt", "log-mel"])
def test_autocast_leaves_front_ends_in_float32(front_end: torch.nn.Module) -> None:
    front_end.eval()
    waveforms = 0.1 * torch.randn(2, 6400)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = front_end(waveforms)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, front_end(waveforms))


@pytest.mark.parametrize("front_end", [PasstSpectrogram(), LogMel()], ids=["passt", "log-mel"])
def test_filters_stay_out_of_checkpoints(front_end: torch.nn.Module) -> None:
    assert front_end.state_dict() == {}
