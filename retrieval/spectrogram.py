"""Small log-mel pictures of recordings, drawn once and kept."""

import hashlib
import io
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.atomic_files import replacing
from common.cache_dir import default_cache_dir
from datamodules.audio import AudioInfo, read_audio, read_info

Floats = npt.NDArray[np.float32]
WIDTH, HEIGHT = 480, 64  # pixels
HIGHEST_RATE = 22_050  # Hz
FRAME = 1024  # samples
RANGE = 70.0  # dB below the loudest are black
WHOLE = 120.0  # s; of longer recordings a frame is read for each column
_drawing = threading.Lock()  # one at a time: a page asks for many


def spectrogram_png(path: Path) -> bytes:
    """A picture (PNG, 480 x 64) of a recording: time to the right, mel bands upwards; kept in the cache folder.

    Raises:
        DataError: the recording cannot be read.
    """
    status = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns} 2".encode("utf-8", "replace"))
    file = default_cache_dir() / "spectrograms" / f"{key.hexdigest()[:32]}.png"
    with _drawing:
        if not file.is_file():
            content = _png(log_mel(path))
            with replacing(file) as beside:
                beside.write_bytes(content)
        return file.read_bytes()


def log_mel(path: Path) -> Floats:
    """Energies in dB (bands, columns), the loudest being 0.

    Raises:
        DataError: the recording cannot be read.
    """
    info = read_info(path)
    rate = min(info.sample_rate, HIGHEST_RATE)
    frames = (_whole_frames if info.frames <= WHOLE * info.sample_rate else _some_frames)(path, info, rate)
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), axis=1)) ** 2  # (columns, bins)
    energy = 10 * np.log10(power @ _mel_bands(rate).T + 1e-10)  # (columns, bands)
    picture: Floats = (energy - energy.max()).T.astype(np.float32)
    return picture


def _whole_frames(path: Path, info: AudioInfo, rate: int) -> Floats:
    samples = read_audio(path, info, rate)
    samples = np.pad(samples, (0, max(FRAME - len(samples), 0)))
    starts = np.linspace(0, len(samples) - FRAME, WIDTH).astype(int)
    return samples[starts[:, None] + np.arange(FRAME)]


def _some_frames(path: Path, info: AudioInfo, rate: int) -> Floats:
    seconds = (FRAME + 1) / rate
    rows = [read_audio(path, info, rate, max_seconds=seconds, position=i / WIDTH)[:FRAME] for i in range(WIDTH)]
    return np.stack([np.pad(row, (0, FRAME - len(row))) for row in rows])


def _mel_bands(rate: int) -> Floats:
    """Triangular filters (bands, bins), evenly spaced on the mel scale from 40 Hz up."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (40, rate / 2))
    edges = 700 * (10 ** (np.linspace(low, high, HEIGHT + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(FRAME, 1 / rate)
    rising = (bins - edges[:-2, None]) / np.maximum(np.diff(edges)[:-1, None], rate / FRAME)
    falling = (edges[2:, None] - bins) / np.maximum(np.diff(edges)[1:, None], rate / FRAME)
    bands: Floats = np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
    return bands


def _png(energy: Floats) -> bytes:
    from matplotlib.image import imsave

    out = io.BytesIO()
    imsave(out, energy[::-1], vmin=-RANGE, vmax=0, cmap="magma", format="png")
    return out.getvalue()
