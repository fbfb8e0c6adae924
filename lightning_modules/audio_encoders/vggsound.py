"""ResNet18 of VGGSound (Chen et al. 2020, arXiv 2004.14368): 512 numbers for each 0.32 s of audio."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.framed import count_frames, framed_spectrum
from lightning_modules.audio_encoders.published import load_published
from lightning_modules.states import States

OFFICIAL = "H.pth.tar, the ResNet18 with average pooling at github.com/hche11/VGGSound"
STRIDE = 32
"""Spectrogram frames, and frequencies, that become one of the last map."""


class StandardisedSpectrogram(nn.Module):
    """The spectrogram of VGGSound's networks, at 16 kHz: that of `scipy.signal.spectrogram` with its defaults.

    Tukey window (shape 0.25) of 512 samples, a frame each 159, each frame's mean taken out, one-sided power density,
    log(x + 1e-7); then the clip's mean is taken out and it is divided by its standard deviation + 1e-9.
    """

    sample_rate, n_fft, hop = 16_000, 512, 512 - 353
    window: Tensor
    density: Tensor

    def __init__(self) -> None:
        super().__init__()
        window = tukey_window(self.n_fft, 0.25)
        density = torch.full((self.n_fft // 2 + 1,), 2.0, dtype=torch.float64)  # both halves of the spectrum
        density[[0, -1]] = 1.0
        density /= self.sample_rate * window.square().sum()
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("density", density.float(), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Clips of one length `(B, T)` float32, T at least 512 -> `(B, 257, 1 + (T - 512) // 159)` float32."""
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float().clamp(-1, 1)
            spectrum = framed_spectrum(waveforms, self.window, self.hop, self.n_fft, centred=True)
            power = (spectrum.real.square() + spectrum.imag.square()) * self.density  # (B, F, 257)
            levels = (power + 1e-7).log().transpose(1, 2)
            sd, mean = torch.std_mean(levels, (1, 2), correction=0, keepdim=True)
            return (levels - mean) / (sd + 1e-9)


class VGGSoundResNet18(AudioEncoder):
    """VGGSound's ResNet18 up to its last map, averaged over frequency: frames (B, T, 512), 32 for 10 s, 95 for 30 s.

    Clips of one length are computed at a time, since every frame sees the end of the clip. A clip of less than 32 ms
    is filled up with zeros.

    Args:
        checkpoint: weights, .pth.tar, .pth or .safetensors: a local file, `hub:OWNER/NAME/FILE`, or a URL with its
            checksum, `https://...#sha256=HEX`; None leaves them random, and then the frames mean little.

    Raises:
        ModelError: the file cannot be used.
    """

    sample_rate, dim = StandardisedSpectrogram.sample_rate, 512
    hop_seconds = STRIDE * StandardisedSpectrogram.hop / StandardisedSpectrogram.sample_rate
    has_spectrogram = True

    def __init__(self, checkpoint: str | None = None) -> None:
        super().__init__()
        self.spectrogram = StandardisedSpectrogram()
        self.network = ResNet18()
        if checkpoint is not None:
            load_published(self.network, checkpoint, _own_name, "VGGSound's ResNet18", OFFICIAL)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> States:
        """`(B, T)` float32 at 16 kHz, `(B,)` int64 -> frames `(B, F, 512)`, and how many each clip has."""
        front = self.spectrogram
        waveforms = F.pad(waveforms, (0, max(0, front.n_fft - waveforms.shape[1])))
        frames = count_frames(lengths, front.n_fft, front.hop)  # (B,)
        counts = (frames + STRIDE - 1) // STRIDE
        values: Tensor | None = None
        for samples in lengths.unique().tolist():
            rows = (lengths == samples).nonzero()[:, 0]
            clips = F.pad(waveforms[rows, :samples], (0, max(0, front.n_fft - samples)))
            maps = self.network(self.masked(front(clips), 2)).mean(2).transpose(1, 2)  # (b, F, 512)
            if values is None:
                values = maps.new_zeros(len(lengths), int(counts.max()), self.dim)
            values[rows, : maps.shape[1]] = maps
        assert values is not None
        return States(values, counts)


class ResNet18(nn.Module):
    """ResNet18 of one input channel without its classifier: `(N, H, W)` -> `(N, 512, H / 32, W / 32)`, rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (64, 64, 128, 256, 512)
        for i in range(1, 5):
            first = BasicBlock(widths[i - 1], widths[i], 1 if i == 1 else 2)
            setattr(self, f"layer{i}", nn.Sequential(first, BasicBlock(widths[i], widths[i], 1)))

    def forward(self, images: Tensor) -> Tensor:
        """As the class says."""
        maps: Tensor = self.maxpool(F.relu(self.bn1(self.conv1(images[:, None]))))
        for i in range(1, 5):
            maps = getattr(self, f"layer{i}")(maps)
        return maps


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016): `(N, C, H, W)` -> `(N, D, H / stride, W / stride)`."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != width:
            self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, maps: Tensor) -> Tensor:
        """As the class says."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps))))) + shortcut)


def tukey_window(size: int, shape: float) -> Tensor:
    """A periodic Tukey window (size,) float64: a flat top between two halves of a cosine, `shape` of it together.

    >>> tukey_window(4, 0.5).tolist()
    [0.0, 1.0, 1.0, 1.0]
    """
    place = torch.arange(size, dtype=torch.float64)
    edge = torch.minimum(place, size - place) * 2 / (shape * size)  # 0 at the ends, 1 where the top begins
    return 0.5 - 0.5 * (torch.pi * edge.clamp(max=1)).cos()


def _own_name(name: str) -> str | None:
    """The file has the prefix `audnet.`, and a classifier."""
    bare = name.removeprefix("module.").removeprefix("audnet.")
    return None if bare.startswith("fc.") else bare
