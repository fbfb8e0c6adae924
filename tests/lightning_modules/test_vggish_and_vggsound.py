"""VGGish and VGGSound's ResNet18: front ends against NumPy and SciPy, sizes, and which weights they take."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import ModelError
from lightning_modules.audio_encoders import AudioEncoder, VGGish, VGGSoundResNet18
from lightning_modules.audio_encoders.vggish import VggishSpectrogram, Whitening
from lightning_modules.audio_encoders.vggsound import StandardisedSpectrogram, tukey_window
from lightning_modules.states import States

Floats = npt.NDArray[np.float64]
RATE = 16_000


@pytest.fixture(scope="module")
def vggish() -> VGGish:
    torch.manual_seed(0)
    return VGGish().eval()


@pytest.fixture(scope="module")
def resnet() -> VGGSoundResNet18:
    torch.manual_seed(0)
    encoder = VGGSoundResNet18().eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)  # else silence gives zeros everywhere, padding too
            torch.nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return encoder


def noise(seconds: float, seed: int = 0) -> Floats:
    return 0.2 * np.random.default_rng(seed).standard_normal(round(RATE * seconds))


def naive_log_mel(signal: Floats) -> Floats:
    """The definition, frame by frame and filter by filter."""

    def mel(hertz: Floats | float) -> Floats:
        return np.asarray(1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0))

    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    edges = np.linspace(mel(125.0), mel(7500.0), 66)
    bins = mel(np.linspace(0, RATE / 2, 257))
    filters = np.zeros((64, 257))
    for i in range(64):
        for j in range(1, 257):
            rising = (bins[j] - edges[i]) / (edges[i + 1] - edges[i])
            falling = (edges[i + 2] - bins[j]) / (edges[i + 2] - edges[i + 1])
            filters[i, j] = max(0.0, min(rising, falling))
    rows = []
    for start in range(0, len(signal) - 399, 160):
        rows.append(np.log(filters @ np.abs(np.fft.rfft(signal[start : start + 400] * window, 512)) + 0.01))
    return np.stack(rows)


def test_the_front_end_of_vggish() -> None:
    signal = noise(1.3)
    found = VggishSpectrogram()(torch.tensor(signal, dtype=torch.float32)[None])[0]
    np.testing.assert_allclose(found.numpy(), naive_log_mel(signal), atol=2e-5)


def test_the_front_end_of_vggsound() -> None:
    signal = np.clip(3 * noise(1.7), -1.2, 1.2)
    _, _, power = scipy.signal.spectrogram(np.clip(signal, -1, 1), RATE, nperseg=512, noverlap=353)
    levels = np.log(power + 1e-7)
    expected = (levels - levels.mean()) / (levels.std() + 1e-9)
    found = StandardisedSpectrogram()(torch.tensor(signal, dtype=torch.float32)[None])[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(tukey_window(512, 0.25), scipy.signal.get_window(("tukey", 0.25), 512), atol=1e-12)


@pytest.mark.parametrize(("seconds", "patches", "steps"), [(0.001, 1, 1), (1.0, 1, 4), (10.0, 10, 32), (30.0, 31, 95)])
@torch.inference_mode()
def test_frames_of_clips(vggish: VGGish, resnet: VGGSoundResNet18, seconds: float, patches: int, steps: int) -> None:
    clip = torch.tensor(noise(seconds), dtype=torch.float32)[None]
    for encoder, dim, count in ((vggish, 128, patches), (resnet, 512, steps)):
        states = encoder(clip, torch.tensor([clip.shape[1]]))
        assert states.values.shape == (1, count, dim)
        assert states.lengths.tolist() == [count]
        assert states.values.isfinite().all()


@torch.inference_mode()
def test_a_clip_alone_equals_the_clip_in_a_batch(vggish: VGGish, resnet: VGGSoundResNet18) -> None:
    lengths = torch.tensor([round(RATE * seconds) for seconds in (0.02, 2.1, 3.0, 2.1)])
    clips = torch.tensor(np.stack([noise(3.0, seed) for seed in range(4)]), dtype=torch.float32)  # noise in the padding
    for encoder in (vggish, resnet):
        batch: States = encoder(clips, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = encoder(clips[row : row + 1, :length], lengths[row : row + 1])
            count = int(alone.lengths)
            assert count == int(batch.lengths[row])
            torch.testing.assert_close(batch.values[row, :count], alone.values[0], atol=1e-5, rtol=1e-5)
            assert not batch.values[row, count:].any()


@torch.inference_mode()
def test_vggish_flattens_with_channels_last(vggish: VGGish) -> None:
    """The network against its definition on one patch, with the tensors by their published names."""
    state = vggish.network.state_dict()
    maps: Tensor = torch.randn(1, 1, 96, 64, generator=torch.Generator().manual_seed(0))
    patch = maps[:, 0]
    for name, pooled in (("0", 1), ("3", 1), ("6", 0), ("8", 1), ("11", 0), ("13", 1)):
        maps = F.relu(F.conv2d(maps, state[f"features.{name}.weight"], state[f"features.{name}.bias"], padding=1))
        maps = F.max_pool2d(maps, 2) if pooled else maps
    rows = [maps[0, :, i, j] for i in range(6) for j in range(4)]
    vector = torch.cat(rows)
    for name in ("0", "2", "4"):
        vector = F.relu(state[f"embeddings.{name}.weight"] @ vector + state[f"embeddings.{name}.bias"])
    torch.testing.assert_close(vggish.network(patch)[0], vector, atol=1e-5, rtol=1e-4)


def test_the_whitening_gives_whole_numbers_of_8_bits() -> None:
    rng = np.random.default_rng(0)
    whitening = Whitening()
    vectors, means = rng.standard_normal((128, 128)) / 8, rng.standard_normal((128, 1))
    whitening.load_state_dict({"pca_eigen_vectors": torch.tensor(vectors), "pca_means": torch.tensor(means)})
    frames = rng.standard_normal((5, 128))
    expected = np.round((np.clip((vectors @ (frames.T - means)).T, -2, 2) + 2) * (255 / 4))
    found = whitening(torch.tensor(frames, dtype=torch.float32)).numpy()
    assert np.abs(found - expected).max() <= 1  # float32 may round the other way
    assert (found == expected).mean() > 0.99


def save(path: Path, encoder: AudioEncoder, prefix: str, extra: dict[str, Tensor], key: str | None) -> str:
    state = {f"{prefix}{name}": value for name, value in encoder.network.state_dict().items()} | extra  # type: ignore[union-attr, operator]
    torch.save(state if key is None else {key: state, "epoch": 3}, path)
    return str(path)


def test_published_names_are_loaded(vggish: VGGish, resnet: VGGSoundResNet18, tmp_path: Path) -> None:
    classifier = {"audnet.fc.weight": torch.zeros(309, 512), "audnet.fc.bias": torch.zeros(309)}
    path = save(tmp_path / "H.pth.tar", resnet, "audnet.", classifier, "model_state_dict")
    loaded: AudioEncoder = VGGSoundResNet18(path)
    for name, value in resnet.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    loaded = VGGish(save(tmp_path / "vggish.pth", vggish, "", {}, None))
    for name, value in vggish.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_other_files_are_refused(resnet: VGGSoundResNet18, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone.pth: no such checkpoint; get vggish-10086976.pth"):
        VGGish(str(tmp_path / "gone.pth"))
    path = save(tmp_path / "H.pth.tar", resnet, "audnet.", {}, "model_state_dict")
    with pytest.raises(ModelError, match=r"H.pth.tar: holds no weights of VGGish \(18 of 18 tensors are missing"):
        VGGish(path)
    with pytest.raises(ModelError, match=r"holds no weights of VGGSound's ResNet18 \(1 tensors are unknown, e.g. x"):
        VGGSoundResNet18(save(tmp_path / "x.pth", resnet, "", {"x": torch.zeros(1)}, None))
    state = {**resnet.network.state_dict(), "conv1.weight": torch.zeros(64, 3, 7, 7)}
    torch.save(state, tmp_path / "rgb.pth")
    with pytest.raises(ModelError, match=r"conv1.weight has shape \(64, 3, 7, 7\) in place of \(64, 1, 7, 7\)"):
        VGGSoundResNet18(str(tmp_path / "rgb.pth"))
    with pytest.raises(ModelError, match=r"http://example.org/H.pth.tar: .*#sha256="):
        VGGSoundResNet18("http://example.org/H.pth.tar")
    (tmp_path / "bad.pth").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(ModelError, match=r"bad.pth: damaged, or not a weights file that can be read safely"):
        VGGish(str(tmp_path / "bad.pth"))
