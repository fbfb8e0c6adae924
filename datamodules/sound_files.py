"""Audio files opened by soundfile, with what their headers do not say found out, as players do.

Of most files the header is right, and they are opened as they are. What a program has written into a pipe has no length
in it, and an mp3 file may have none either.
"""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from datamodules import flac_frames, mp3_frames
from datamodules.declared_length import AU, W64, au_is_whole, w64_is_whole
from datamodules.file_views import FileView
from datamodules.ogg_pages import ends_with_last_page
from datamodules.wav_header import plain_wav, read_wav_header


class Source(NamedTuple):
    """How a file is opened.

    Attributes:
        whole: whether it ends where its header or its frames say.
        head, skip: what is read in place of its first `skip` bytes; nothing where `head` is empty.
        mp3: whether it is an mp3 file; `uncounted`: one that does not say its length, beginning at `skip`.
    """

    whole: bool = True
    head: bytes = b""
    skip: int = 0
    mp3: bool = False
    uncounted: bool = False


class Length(NamedTuple):
    """Samples per channel, rate in Hz, and whether they are all there."""

    frames: int
    sample_rate: int
    whole: bool


def sound_length(path: Path) -> Length:
    """Length of a file, decoding no more than its last sample.

    Raises:
        soundfile.SoundFileError, OSError, TypeError: it cannot be read.
    """
    source = _look(path)
    if (counted := _count_frames(path, source)) is not None:
        data, frames = counted
        with _quiet(), soundfile.SoundFile(io.BytesIO(mp3_frames.with_count(data, frames, 0, 1))) as file:
            delay = frames.samples - file.frames  # which the decoder leaves out
            return Length(len(frames.starts) * frames.samples - delay, file.samplerate, frames.whole)
    with _opened(path, source) as file:
        return Length(file.frames, file.samplerate, source.whole and (file.frames <= 0 or _has_last_sample(file)))


def read_samples(path: Path, start: int, wanted: int) -> npt.NDArray[np.float32]:
    """`wanted` samples (T, channels) float32 of a file from `start`; fewer where it ends before.

    Raises:
        soundfile.SoundFileError, OSError, TypeError: it cannot be read.
    """
    source = _look(path)
    if (counted := _count_frames(path, source)) is not None:
        return _read_uncounted(*counted, start, wanted)
    with _opened(path, source) as file:
        if file.seekable():
            file.seek(start)
        elif start:
            file.read(start, dtype="float32")  # some codecs, such as GSM, have to be decoded from their beginning
        return file.read(wanted, dtype="float32", always_2d=True)  # type: ignore[no-any-return]


def _look(path: Path) -> Source:
    """How a file has to be opened, by its first bytes, and for some formats its last ones."""
    with open(path, "rb") as file:
        head = file.read(44)
        if head.startswith((b"RIFF", b"RF64", b"RIFX", b"FORM")):
            if plain_wav(head, os.fstat(file.fileno()).st_size):
                return Source()
            header = read_wav_header(file)
            if header is None:
                return Source()
            return Source(header.whole, header.head, header.start if header.head else 0)
        if head.startswith(W64):
            return Source(w64_is_whole(file))
        if head[:4] in AU:
            return Source(au_is_whole(file))
        if head.startswith(b"OggS"):
            return Source(ends_with_last_page(file))
        if flac_frames.says_no_length(head := head[: flac_frames.HEADER]):
            samples = flac_frames.count_samples(file, head)
            if samples is None:
                return Source(whole=False)
            return Source(head=flac_frames.with_length(head, samples), skip=len(head))
        if head.startswith(b"ID3") or (path.suffix.lower() == ".mp3" or head[:1] == b"\xff"):
            begin = mp3_frames.begin_of_audio(file)
            return Source(skip=begin, mp3=True, uncounted=mp3_frames.says_length(file, begin) is False)
        return Source()


def _count_frames(path: Path, source: Source) -> tuple[bytes, mp3_frames.Frames] | None:
    """The bytes of an mp3 file that does not say its length, and its frames; None of all other files."""
    if not source.uncounted:
        return None
    data = path.read_bytes()
    frames = mp3_frames.find_frames(data, source.skip)
    return None if frames is None or not frames.starts else (data, frames)


@contextmanager
def _opened(path: Path, source: Source) -> Iterator[soundfile.SoundFile]:
    if source.head:
        with FileView(path, source.head, source.skip) as view, soundfile.SoundFile(view) as file:
            yield file
    elif source.mp3:
        with _quiet(), soundfile.SoundFile(path) as file:
            yield file
    else:
        with soundfile.SoundFile(path) as file:
            yield file


_stderr = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what libmpg123 writes to stderr about the tags of healthy files, and about those it begins within."""
    with _stderr:
        try:
            kept = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _read_uncounted(data: bytes, frames: mp3_frames.Frames, start: int, wanted: int) -> npt.NDArray[np.float32]:
    """Decode those frames of an mp3 file that a crop needs."""
    first = max(start // frames.samples - mp3_frames.WARM_UP, 0)
    last = min((start + wanted) // frames.samples + 2, len(frames.starts))
    part = io.BytesIO(mp3_frames.with_count(data, frames, first, max(last - first, 1)))
    with _quiet(), soundfile.SoundFile(part) as file:
        samples = file.read(dtype="float32", always_2d=True)
    skip = start - first * frames.samples
    return samples[skip : skip + wanted]  # type: ignore[no-any-return]


def _has_last_sample(file: soundfile.SoundFile) -> bool:
    if not file.seekable():
        return True
    try:
        file.seek(file.frames - 1)
        return len(file.read(1)) == 1
    except soundfile.SoundFileError:
        return False
