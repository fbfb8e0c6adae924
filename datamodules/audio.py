"""Audio files: what their headers say, and samples from the middle of them."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from common.errors import DataError
from datamodules.mono import Mix, mix_to_mono
from datamodules.sound_files import read_samples, sound_length

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000  # Hz; bats are recorded at 384,000
SHORTEST = 0.001  # s


Segment = tuple[float, float | None]
"""Where a recording begins and ends in its file, in s; None: at the end of the file."""


class AudioInfo(NamedTuple):
    """Length in frames (samples per channel) and sample rate in Hz of a file."""

    frames: int
    sample_rate: int


def read_info(path: Path) -> AudioInfo:
    """Length and sample rate of an audio file, decoding no more than its last sample.

    Raises:
        DataError: there is no such file, it is no audio, holds no samples or hardly any, has a rate that is none of
            sound, or ends before its header or its frames say it does (wav, w64, au, aiff, flac, mp3, ogg).
    """
    if not path.is_file():
        raise DataError(f"{path}: no such audio file; {_REMEDY}")
    try:
        frames, sample_rate, whole = sound_length(path)
    except _UNREADABLE as error:
        empty = path.stat().st_size == 0
        cause = "is empty (0 bytes)" if empty else "is not an audio file that can be read, or is damaged"
        raise DataError(f"{path}: {cause}; {_REMEDY}") from error
    if frames <= 0:
        raise DataError(f"{path}: holds no samples; {_REMEDY}")
    if not whole:
        raise DataError(f"{path}: is truncated (it ends before its header says); {_REMEDY}")
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise DataError(
            f"{path}: has {sample_rate} samples a second by its header, which is no rate of sound "
            f"({LOWEST_RATE} to {HIGHEST_RATE} Hz); {_REMEDY}"
        )
    if frames < SHORTEST * sample_rate:
        samples = "1 sample" if frames == 1 else f"{frames} samples"
        raise DataError(f"{path}: holds {samples} ({1000 * frames / sample_rate:.2g} ms), which is no sound; {_REMEDY}")
    return AudioInfo(frames, sample_rate)


def part_of(path: Path, segment: Segment | None) -> tuple[AudioInfo, int]:
    """Header of the part of a file that a recording is, and the sample at which it begins; None: the whole file.

    Raises:
        DataError: the file cannot be read, or ends before the part.
    """
    info = read_info(path)
    if segment is None:
        return info, 0
    begin = round(segment[0] * info.sample_rate)
    end = info.frames if segment[1] is None else min(round(segment[1] * info.sample_rate), info.frames)
    if end - begin < SHORTEST * info.sample_rate:
        raise DataError(
            f"{path}: ends after {info.frames / info.sample_rate:.2f} s, and the annotations name a part of it from "
            f"{segment[0]:g} s on; is it a part already? then leave data.columns.start out"
        )
    return AudioInfo(end - begin, info.sample_rate), begin


def read_audio(
    path: Path,
    info: AudioInfo,
    sample_rate: int,
    *,
    max_seconds: float | None = None,
    position: float = 0.0,
    offset: int | None = None,
    gain: float = 1.0,
    begin: int = 0,
    mix: Mix = "mean",
) -> npt.NDArray[np.float32]:
    """Samples (T,) float32 of a file, mixed to mono and resampled to `sample_rate` Hz.

    Only what is asked for is decoded: at most `max_seconds`, beginning at `position`, a fraction in [0, 1] of the range
    in which a crop of that length can begin (0 the first possible crop, 1 the last). A file longer than that gives
    exactly round(max_seconds * sample_rate) samples. With `offset` the file is a shard (`datamodules.shards.format`),
    and `gain` what its samples are multiplied by. `mix` says what is taken of a file's channels. With `begin` the
    recording is what follows that sample of the file.

    Raises:
        DataError: the file cannot be decoded, or holds samples that are NaN, infinite or far beyond full scale.
    """
    start, wanted = crop_bounds(info, sample_rate, max_seconds, position)
    mono = _decode(path, begin + start, wanted, mix) if offset is None else read_packed(path, offset, start, wanted)
    if gain != 1:
        mono *= np.float32(gain)
    if info.sample_rate != sample_rate:
        mono = soxr.resample(mono, info.sample_rate, sample_rate)
    return cut_to_length(mono, str(path), sample_rate, max_seconds)


def crop_bounds(info: AudioInfo, sample_rate: int, max_seconds: float | None, position: float) -> tuple[int, int]:
    """First sample of a crop in its file, and how many are wanted to have it at `sample_rate` Hz (see `read_audio`)."""
    if max_seconds is None:
        return 0, info.frames
    spare = int(info.sample_rate != sample_rate)  # the resampler may round half a sample down
    wanted = min(info.frames, math.ceil(max_seconds * info.sample_rate) + spare)
    return min(int(position * (info.frames - wanted + 1)), info.frames - wanted), wanted


def cut_to_length(
    mono: npt.NDArray[np.float32], where: str, sample_rate: int, max_seconds: float | None
) -> npt.NDArray[np.float32]:
    """A crop (T,) at `sample_rate` Hz, cut to `max_seconds`.

    Raises:
        DataError: nothing is left.
    """
    if max_seconds is not None:
        mono = mono[: round(max_seconds * sample_rate)]
    if len(mono) == 0 and max_seconds is not None and max_seconds * sample_rate < 1:
        raise DataError(f"data.max_seconds is {max_seconds}: shorter than one sample at {sample_rate} Hz; raise it")
    if len(mono) == 0:
        raise DataError(f"{where}: too short to hold one sample at {sample_rate} Hz; {_REMEDY}")
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_packed(path: Path, offset: int, start: int, count: int) -> npt.NDArray[np.float32]:
    """Samples (count,) float32 in [-1, 1) of a file's 16-bit samples that begin at byte `offset`, from the `start`-th.

    Raises:
        DataError: the file is not there, or shorter than its table says.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset + 2 * start)
            data = file.read(2 * count)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run {PACK} again") from error
    if len(data) < 2 * count:
        raise DataError(f"{path}: is truncated (it ends before its table says); delete it and run {PACK} again")
    return from_16_bit(data)


def from_16_bit(data: bytes) -> npt.NDArray[np.float32]:
    """Samples (T,) float32 in [-1, 1) of 2 T bytes, little-endian.

    >>> from_16_bit(b"\\x00\\x40\\x00\\x80")
    array([ 0.5, -1. ], dtype=float32)
    """
    samples: npt.NDArray[np.float32] = np.frombuffer(data, "<i2").astype(np.float32)
    samples *= np.float32(1 / FULL_SCALE)
    return samples


FULL_SCALE = 32768  # of 16-bit samples
PACK = "`audio-relevance pack`"
_REMEDY = "get the file again, or delete it to continue without it"
_REMEDY_INSIDE = f"{_REMEDY} ({PACK} decodes every file of a data set and lists those that are damaged)"
# TypeError: soundfile wants to be told the format of a file called .raw.
_UNREADABLE = (soundfile.SoundFileError, OSError, TypeError)


def _decode(path: Path, start: int, wanted: int, mix: Mix) -> npt.NDArray[np.float32]:
    """`wanted` samples of an audio file from `start`, mixed to mono."""
    try:
        samples = read_samples(path, start, wanted)
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be decoded ({' '.join(str(error).split())}); {_REMEDY_INSIDE}") from error
    if len(samples) < wanted:
        raise DataError(f"{path}: is truncated (it ends before its header says); {_REMEDY}")
    return mix_to_mono(samples, path, _REMEDY_INSIDE, mix)
