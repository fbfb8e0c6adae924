"""Audio files as streams, cameras and old programs write them: read whole, or refused by name; never cut in silence.

The samples that are expected are those that were written, or what soundfile decodes of the same file without its fault.
"""

import io
import logging
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules import flac_frames, mp3_frames
from datamodules.audio import AudioInfo, read_audio, read_info
from datamodules.clotho import Clotho
from datamodules.mono import Mix, warn_of_cancellation

Refused = Callable[[Callable[[], object]], str]
RATE = 16_000
TRUNCATED = "is truncated (it ends before its header says)"
PCM = np.round(8000 * np.random.default_rng(0).standard_normal(6 * RATE)).astype("<i2")
FORMAT = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)


def whole(path: Path) -> np.ndarray:
    return read_audio(path, read_info(path), read_info(path).sample_rate)


def wav(
    path: Path, length: int, before: bytes = b"", after: bytes = b"", data: bytes = PCM.tobytes(), order: str = "<"
) -> Path:
    """A wav file whose data chunk says that it has `length` bytes."""
    fmt = struct.pack(f"{order}HHIIHH", *struct.unpack("<HHIIHH", FORMAT))
    form = b"RIFF" if order == "<" else b"RIFX"
    chunks = b"fmt " + struct.pack(f"{order}I", 16) + fmt + before + b"data" + struct.pack(f"{order}I", length)
    path.write_bytes(form + struct.pack(f"{order}I", length & 0xFFFFFFFF) + b"WAVE" + chunks + data + after)
    return path


# --- wav


@pytest.mark.parametrize(
    "length", [0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFDB, 0xFFFFFFFF]
)
@pytest.mark.parametrize("before", [b"", b"LIST\x04\0\0\0INFO"])
def test_a_wav_that_a_stream_wrote_is_read_to_its_end(tmp_path: Path, length: int, before: bytes) -> None:
    path = wav(tmp_path / "x.wav", length, before)
    assert read_info(path) == (len(PCM), RATE)
    np.testing.assert_array_equal(whole(path), PCM / np.float32(32768))
    crop = read_audio(path, read_info(path), RATE, max_seconds=0.5, position=1.0)
    np.testing.assert_array_equal(crop, PCM[-RATE // 2 :] / np.float32(32768))


def test_a_streamed_wav_of_big_endian_samples_is_read_to_its_end(tmp_path: Path) -> None:
    path = wav(tmp_path / "x.wav", 0, data=PCM.astype(">i2").tobytes(), order=">")
    np.testing.assert_array_equal(whole(path), PCM / np.float32(32768))


@pytest.mark.parametrize("length", [2 * len(PCM) + 2, 1 << 30, 0x7FFFEFFF, 0x80000001, 0xFFFFEFFF])
def test_a_wav_that_was_cut_is_refused(tmp_path: Path, refused: Refused, length: int) -> None:
    path = wav(tmp_path / "x.wav", length)
    assert TRUNCATED in refused(lambda: read_info(path))


def test_a_wav_without_samples_but_with_other_chunks_is_empty(tmp_path: Path, refused: Refused) -> None:
    path = wav(tmp_path / "x.wav", 0, data=b"", after=b"LIST\x04\0\0\0INFO")
    assert "holds no samples" in refused(lambda: read_info(path))


@pytest.mark.parametrize("name", [b"LIST", b"JUNK", b"xYz1"])
@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_chunk_of_odd_length_need_not_be_padded(tmp_path: Path, name: bytes, padding: bytes) -> None:
    path = wav(tmp_path / "x.wav", 2 * len(PCM), name + b"\5\0\0\0abcde" + padding)
    np.testing.assert_array_equal(whole(path), PCM / np.float32(32768))


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ULAW"])
def test_codecs_of_old_wavs(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, PCM, 8000, subtype=subtype)
    expected, _ = soundfile.read(path, frames=soundfile.info(path).frames, dtype="float32")
    info = read_info(path)
    assert info.frames >= len(PCM)
    np.testing.assert_array_equal(read_audio(path, info, 8000), expected)
    crop = read_audio(path, info, 8000, max_seconds=1.0, position=1.0)  # GSM cannot be sought
    np.testing.assert_array_equal(crop, expected[-8000:])


@pytest.mark.parametrize(("kind", "ending"), [("RF64", "wav"), ("AIFF", "aiff"), ("WAVEX", "wav")])
def test_relatives_of_wav_are_checked_too(tmp_path: Path, refused: Refused, kind: str, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    soundfile.write(path, PCM, RATE, format=kind)
    assert read_info(path) == (len(PCM), RATE)
    path.write_bytes(path.read_bytes()[:-1000])
    assert TRUNCATED in refused(lambda: read_info(path))


# --- flac, ogg


def written(kind: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, PCM, rate, format=kind, subtype=subtype)
    return file.getvalue()


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path, refused: Refused) -> None:
    content = written("FLAC")
    path = tmp_path / "x.flac"
    streamed = flac_frames.with_length(content[:42], 0) + content[42:]
    path.write_bytes(streamed)
    assert read_info(path) == (len(PCM), RATE)
    np.testing.assert_array_equal(whole(path), PCM / np.float32(32768))
    crop = read_audio(path, read_info(path), RATE, max_seconds=0.1, position=1.0)
    np.testing.assert_array_equal(crop, PCM[-1600:] / np.float32(32768))
    path.write_bytes(streamed + b"TAG" + bytes(125))
    assert read_info(path) == (len(PCM), RATE)
    for cut in (1, 1000, len(streamed) // 2):
        path.write_bytes(streamed[:-cut])
        assert TRUNCATED in refused(lambda: read_info(path))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_without_its_last_page_is_truncated(tmp_path: Path, refused: Refused, subtype: str) -> None:
    content = written("OGG", subtype)
    path = tmp_path / "x.opus"
    path.write_bytes(content)
    assert read_info(path).frames == len(PCM)
    last_page = content.rindex(b"OggS\0")
    for end in (last_page, last_page + 10, len(content) - 1, len(content) // 2):
        path.write_bytes(content[:end])
        assert TRUNCATED in refused(lambda: read_info(path))


# --- mp3


@pytest.fixture
def mp3(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A file of variable rate, quiet at first so that a guess from its beginning is far off; and what it decodes to."""
    rng = np.random.default_rng(1)
    loud = np.repeat([0.0003, 0.3, 0.01], 10 * RATE) * rng.standard_normal(30 * RATE)
    path = tmp_path / "x.mp3"
    soundfile.write(path, loud, RATE, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    return path, soundfile.read(path, dtype="float32")[0]


def without_xing(content: bytes) -> bytes:
    assert content[:256].count(b"Xing") == 1
    found = mp3_frames.frame_length(int.from_bytes(content[:4], "big"))
    assert found is not None
    return content[found[0] :]


def test_an_mp3_with_its_header_is_read_as_ever(mp3: tuple[Path, np.ndarray]) -> None:
    path, expected = mp3
    np.testing.assert_array_equal(whole(path), expected)


def test_an_mp3_without_a_xing_header_is_read_whole(mp3: tuple[Path, np.ndarray], refused: Refused) -> None:
    path, expected = mp3
    path.write_bytes(without_xing(path.read_bytes()))
    guess = soundfile.info(path).frames
    assert not 0.9 < guess / len(expected) < 1.1  # else this test shows nothing
    info = read_info(path)
    assert 0 <= info.frames - len(expected) < 3 * 1152  # the header says how much of the ends is filling
    samples = read_audio(path, info, RATE)
    delay = int(np.argmax(np.correlate(samples[200_000:210_000], expected[200_600:209_000], "valid"))) - 600
    np.testing.assert_allclose(samples[200_000 + delay + 600 :][:8000], expected[200_600:208_600], atol=1e-4)
    for position in (0.0, 0.3, 0.77, 1.0):
        crop = read_audio(path, info, RATE, max_seconds=1.0, position=position)
        start = min(int(position * (info.frames - RATE + 1)), info.frames - RATE)
        np.testing.assert_allclose(crop, samples[start : start + RATE], atol=1e-5)
    path.write_bytes(path.read_bytes()[:-100])
    assert TRUNCATED in refused(lambda: read_info(path))


def test_tags_of_an_mp3_make_no_noise_and_no_difference(
    mp3: tuple[Path, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    path, expected = mp3
    content = path.read_bytes()
    comment = b"COMM" + struct.pack(">I", 4) + b"\0\0\1eng" + bytes(500)  # at which libmpg123 writes to stderr
    tag = b"ID3\3\0\0" + bytes([0, 0, len(comment) >> 7, len(comment) & 127]) + comment
    path.write_bytes(tag + content)
    soundfile.info(path)
    assert "libmpg123" in capfd.readouterr().err  # else this test shows nothing
    np.testing.assert_array_equal(whole(path), expected)
    path.write_bytes(tag + without_xing(content) + b"TAG" + bytes(125))
    assert read_info(path).frames >= len(expected)
    assert len(whole(path)) == read_info(path).frames
    assert capfd.readouterr().err == ""


def test_junk_between_the_frames_of_an_mp3_is_passed_over(mp3: tuple[Path, np.ndarray]) -> None:
    path, _ = mp3
    content = without_xing(path.read_bytes())
    frames = mp3_frames.find_frames(content, 0)
    assert frames is not None
    middle = frames.starts[len(frames.starts) // 2]
    junk = mp3_frames.find_frames(content[:middle] + b"\xff\xfejunk" + content[middle:], 0)
    assert junk is not None
    assert len(junk.starts) == len(frames.starts)


# --- samples


@pytest.mark.parametrize("value", [9831.0, 1e30, 3e38, -1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_far_beyond_full_scale_are_refused(
    tmp_path: Path, refused: Refused, value: float, channels: int
) -> None:
    samples = np.tile(np.array([[0.1], [value], [-value / 2]], np.float32), (RATE, channels))
    if channels == 2:
        samples[:, 1] *= -1  # their mean is silence
    path = tmp_path / "x.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    message = refused(lambda: whole(path))
    assert message.startswith(f"{path}: holds samples of up to {abs(value):.4g}, where full scale is 1 (whole numbers")


def test_a_float_file_may_go_beyond_full_scale(tmp_path: Path) -> None:
    samples = np.array([0.1, 3.0, -2.5] * RATE, np.float32)
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / "x.wav"), samples)


def test_channels_that_cancel_each_other_out_are_not_mixed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_cancellation.cache_clear()
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack([PCM, -PCM], 1), RATE)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(np.abs(whole(path)), np.abs(PCM / np.float32(32768)))
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path}: its channels cancel each other out (opposite phase), so their mean is silence; channel 1 is taken "
        "alone"
    )


@pytest.mark.parametrize(("mix", "channel"), [("loudest", 1), ("left", 0)])
def test_one_channel_can_be_taken_in_place_of_the_mean(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mix: Mix, channel: int
) -> None:
    path = tmp_path / "x.wav"
    samples = np.stack([0.5 * PCM / 32768, -PCM / 32768], 1).astype(np.float32)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path, read_info(path), RATE, mix=mix), samples[:, channel])
    assert not caplog.records


def test_packed_recordings_are_mixed_already(tmp_path: Path, refused: Refused) -> None:
    message = refused(lambda: Clotho(str(tmp_path), packed=str(tmp_path), mix="left"))
    assert message.startswith("data.mix is left, but data.packed holds recordings mixed to their mean")


@pytest.mark.parametrize("other", [0.0, 0.3, -0.99])
def test_other_channels_are_mixed_as_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture, other: float) -> None:
    samples = np.stack([PCM / 32768, other * PCM / 32768], 1).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / "x.wav"), samples.mean(axis=1))
    assert not caplog.records


@pytest.mark.parametrize(("suffix", "format"), [("w64", "W64"), ("au", "AU")])
@pytest.mark.parametrize("endian", ["BIG", "LITTLE"])
def test_w64_and_au_files_that_are_cut_off_are_refused(
    tmp_path: Path, refused: Refused, suffix: str, format: str, endian: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, PCM, RATE, "PCM_16", endian="FILE" if format == "W64" else endian, format=format)
    assert read_info(path) == AudioInfo(len(PCM), RATE)
    np.testing.assert_array_equal(whole(path), PCM / np.float32(32768))
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path}: is truncated" in refused(lambda: read_info(path))


def test_an_au_file_written_by_a_pipe_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.au"
    soundfile.write(path, PCM, RATE, "PCM_16", format="AU")
    content = bytearray(path.read_bytes())
    content[8:12] = b"\xff" * 4
    path.write_bytes(content)
    assert read_info(path) == AudioInfo(len(PCM), RATE)


@pytest.mark.parametrize(("rate", "frames"), [(1, 10), (999, 5000), (2_000_000_000, 5000)])
def test_a_rate_that_is_none_of_sound_is_refused(tmp_path: Path, refused: Refused, rate: int, frames: int) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, PCM[:frames], rate)
    message = refused(lambda: read_info(path))
    assert f"has {rate} samples a second by its header, which is no rate of sound (1000 to 1000000 Hz)" in message


def test_a_clip_of_one_sample_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, PCM[:1], RATE)
    assert "holds 1 sample (0.062 ms), which is no sound" in refused(lambda: read_info(path))
    soundfile.write(path, PCM[:16], RATE)
    assert read_info(path) == AudioInfo(16, RATE)


def test_an_open_file_is_closed_again(tmp_path: Path, mp3: tuple[Path, np.ndarray]) -> None:
    path, _ = mp3
    content = path.read_bytes()
    path.write_bytes(b"ID3\3\0\0\0\0\0\1x" + content)
    streamed = wav(tmp_path / "y.wav", 0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        whole(path)
        whole(streamed)
    assert len(os.listdir("/proc/self/fd")) <= before
