"""VGGish (Hershey et al. 2017, arXiv 1609.09430): 128 numbers for each 0.96 s of audio."""

import itertools
import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.audio_encoders.base import AudioEncoder, silence_padding
from lightning_modules.audio_encoders.framed import count_frames, framed_spectrum
from lightning_modules.audio_encoders.published import load_published
from lightning_modules.audio_encoders.spectrograms import fft_mels, mel_bank
from lightning_modules.states import States

OFFICIAL = "vggish-10086976.pth of release v0.1 at github.com/harritaylor/torchvggish"
OFFICIAL_PCA = "vggish_pca_params-970ea276.pth of the same release"
PATCH = 96
"""Spectrogram frames in a patch, 0.96 s."""


class VggishSpectrogram(nn.Module):
    """The log-mel spectrogram of VGGish, at 16 kHz.

    Periodic Hann window of 25 ms, a frame each 10 ms, magnitudes of an FFT of 512, 64 mels from 125 to 7,500 Hz,
    log(x + 0.01). Only frames that lie in the audio as a whole are taken.
    """

    sample_rate, n_mels, n_fft, window_length, hop = 16_000, 64, 512, 400, 160
    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(self.window_length), persistent=False)
        bank = mel_bank(fft_mels(self.n_fft, self.sample_rate), self.n_mels, 125.0, 7500.0)
        self.register_buffer("bank", bank, persistent=False)  # its first bin, 0 Hz, is 0: 125 Hz is above it

    def forward(self, waveforms: Tensor) -> Tensor:
        """`(B, T)` float32, T at least 400 -> `(B, 1 + (T - 400) // 160, 64)` float32."""
        with torch.autocast(waveforms.device.type, enabled=False):
            spectrum = framed_spectrum(waveforms.float(), self.window, self.hop, self.n_fft)
            return (spectrum.abs() @ self.bank.T + 0.01).log()


class VGGish(AudioEncoder):
    """VGGish on patches of 0.96 s without overlap: frames (B, T, 128), 10 for 10 s, 31 for 30 s.

    Audio after the last whole patch is left out; a clip that is shorter than a patch is filled up with zeros to one.

    Args:
        checkpoint: weights, .pth or .safetensors: a local file, `hub:OWNER/NAME/FILE`, or a URL with its checksum,
            `https://...#sha256=HEX`; None leaves them random, and then the frames mean little.
        pca: the published whitening, found in the same way; frames are then the 8-bit numbers 0 to 255 of AudioSet's
            features. Default: what the network gives.

    Raises:
        ModelError: a file cannot be used.
    """

    sample_rate, dim, hop_seconds = VggishSpectrogram.sample_rate, 128, 0.96
    has_spectrogram = True

    def __init__(self, checkpoint: str | None = None, pca: str | None = None) -> None:
        super().__init__()
        self.spectrogram = VggishSpectrogram()
        self.network = VggishNetwork()
        self.pca = None if pca is None else Whitening()
        if checkpoint is not None:
            load_published(self.network, checkpoint, _own_name, "VGGish", OFFICIAL)
        if pca is not None:
            assert self.pca is not None
            load_published(self.pca, pca, lambda name: name, "VGGish's PCA", OFFICIAL_PCA)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> States:
        """`(B, T)` float32 at 16 kHz, `(B,)` int64 -> frames `(B, P, 128)`, and how many each clip has."""
        front = self.spectrogram
        shortest = front.window_length + (PATCH - 1) * front.hop
        waveforms = F.pad(silence_padding(waveforms, lengths), (0, max(0, shortest - waveforms.shape[1])))
        frames = self.masked(front(waveforms), 1)  # (B, F, 64)
        counts = (count_frames(lengths, front.window_length, front.hop) // PATCH).clamp(min=1)  # (B,)
        most = int(counts.max())
        patches = frames[:, : most * PATCH].reshape(len(frames), most, PATCH, front.n_mels)
        heard = torch.arange(most, device=counts.device) < counts[:, None]  # (B, P)
        embedded = self.network(patches[heard])  # (N, 128)
        values = embedded.new_zeros(len(frames), most, self.dim)
        values[heard] = embedded if self.pca is None else self.pca(embedded)
        return States(values, counts)


class VggishNetwork(nn.Module):
    """Six convolutions and three linear layers, each followed by ReLU: patches `(N, 96, 64)` -> `(N, 128)`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for block in ((64,), (128,), (256, 256), (512, 512)):
            for width in block:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        sizes = (512 * 6 * 4, 4096, 4096, 128)
        linear = [(nn.Linear(a, b), nn.ReLU(inplace=True)) for a, b in itertools.pairwise(sizes)]
        self.embeddings = nn.Sequential(*(layer for pair in linear for layer in pair))

    def forward(self, patches: Tensor) -> Tensor:
        """As the class says; the published weights want the channels last."""
        maps = self.features(patches[:, None])  # (N, 512, 6, 4)
        embedded: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embedded


class Whitening(nn.Module):
    """PCA and quantisation to 8 bits as in AudioSet's features: `(N, 128)` -> `(N, 128)`, whole numbers 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.pca_eigen_vectors = nn.Parameter(torch.eye(128), requires_grad=False)
        self.pca_means = nn.Parameter(torch.zeros(128, 1), requires_grad=False)

    def forward(self, embedded: Tensor) -> Tensor:
        """As the class says."""
        whitened = (embedded - self.pca_means.T) @ self.pca_eigen_vectors.T
        return ((whitened.clamp(-2, 2) + 2) * (255 / 4)).round()


def _own_name(name: str) -> str | None:
    """Names in torchaudio's file end in `_network`, others' may have a prefix."""
    found = re.search(r"(features|embedding)s?(?:_network)?\.(\d+\.(?:weight|bias))$", name)
    return found and f"{'features' if found[1] == 'features' else 'embeddings'}.{found[2]}"
