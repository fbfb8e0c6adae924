"""Reading of audio against a full decode by soundfile, NumPy's mean and soxr; refusals by their message; collation."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.audio import AudioInfo, read_audio, read_info
from datamodules.batch import Example, collate

Refused = Callable[[Callable[[], object]], str]
REMEDY = "; get the file again, or delete it to continue without it"
REMEDY_INSIDE = f"{REMEDY} (`audio-relevance pack` decodes every file of a data set and lists those that are damaged)"
SHARED_FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def noise(frames: int, channels: int = 1) -> np.ndarray:
    samples = 0.1 * np.random.default_rng(frames).standard_normal((frames, channels))
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of 1.3 s in three formats, and a ramp whose values are the sample numbers / 32768."""
    folder = tmp_path_factory.mktemp("audio")
    for suffix in ("wav", "flac", "ogg"):
        soundfile.write(folder / f"noise.{suffix}", noise(57330), 44100)
        soundfile.write(folder / f"stereo.{suffix}", noise(57330, 2), 44100)
    for rate in (8000, 16000, 22050, 32000, 44100, 48000):
        soundfile.write(folder / f"noise{rate}.wav", noise(round(1.3 * rate)), rate)
    soundfile.write(folder / "ramp.wav", np.arange(5000, dtype=np.float32) / 32768, 1000, subtype="FLOAT")
    return folder


# --- what is read


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("position", [0.0, 0.123, 0.5, 0.999, 1.0])
def test_a_crop_is_a_slice_of_the_full_decode(folder: Path, suffix: str, position: float) -> None:
    path = folder / f"noise.{suffix}"
    whole, rate = soundfile.read(path, dtype="float32")
    info = read_info(path)
    assert info == AudioInfo(57330, 44100)
    assert whole.shape == (57330,)
    crop = read_audio(path, info, rate, max_seconds=0.5, position=position)
    assert crop.dtype == np.float32
    assert crop.shape == (22050,)
    start = {0.0: 0, 0.123: 4339, 0.5: 17640, 0.999: 35245, 1.0: 35280}[position]
    np.testing.assert_allclose(crop, whole[start : start + 22050], atol=1e-6)


@given(position=st.floats(0, 1), seconds=st.floats(0.001, 7))
@SHARED_FILES
def test_a_crop_is_contiguous_and_inside(folder: Path, position: float, seconds: float) -> None:
    path = folder / "ramp.wav"
    crop = 32768 * read_audio(path, read_info(path), 1000, max_seconds=seconds, position=position)
    assert len(crop) == min(5000, round(seconds * 1000))
    np.testing.assert_array_equal(crop, crop[0] + np.arange(len(crop)))
    assert crop[0] >= 0
    assert crop[-1] < 5000
    assert abs(crop[0] - position * (5000 - len(crop))) <= 1


def test_all_first_samples_of_a_crop_are_equally_likely(folder: Path) -> None:
    path, room = folder / "ramp.wav", 11  # a crop of 4,990 samples can begin at 0 ... 10
    starts = [
        32768 * read_audio(path, AudioInfo(5000, 1000), 1000, max_seconds=4.99, position=(i + 0.5) / (10 * room))[0]
        for i in range(10 * room)
    ]
    assert starts == sorted(starts)
    assert np.bincount(np.array(starts, dtype=int)).tolist() == [10] * room


def test_without_a_bound_the_whole_file_is_read_wherever_the_position(folder: Path) -> None:
    path = folder / "ramp.wav"
    for position in (0.0, 0.7, 1.0):
        np.testing.assert_array_equal(
            32768 * read_audio(path, read_info(path), 1000, position=position), np.arange(5000, dtype=np.float32)
        )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_channels_are_averaged(folder: Path, suffix: str) -> None:
    path = folder / f"stereo.{suffix}"
    channels, _ = soundfile.read(path, dtype="float32")
    mono = read_audio(path, read_info(path), 44100)
    np.testing.assert_allclose(mono, np.mean(channels, axis=1), atol=1e-7)
    assert not np.allclose(mono, channels[:, 0], atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 16000, 32000, 48000])
def test_resampling_is_soxrs(folder: Path, rate: int) -> None:
    path = folder / "stereo.wav"
    channels, _ = soundfile.read(path, dtype="float32")
    expected = soxr.resample(channels.mean(axis=1), 44100, rate)
    resampled = read_audio(path, read_info(path), rate)
    assert len(resampled) == len(expected) == round(57330 * rate / 44100)
    np.testing.assert_array_equal(resampled, expected)


RATES = st.sampled_from([8000, 16000, 22050, 32000, 44100, 48000])


@given(of_file=RATES, wanted=RATES, seconds=st.floats(0.01, 1.5), position=st.floats(0, 1))
@SHARED_FILES
def test_max_seconds_is_exact_in_samples(
    folder: Path, of_file: int, wanted: int, seconds: float, position: float
) -> None:
    path = folder / f"noise{of_file}.wav"
    info = read_info(path)
    samples = read_audio(path, info, wanted, max_seconds=seconds, position=position)
    if info.frames / of_file > seconds:
        assert len(samples) == round(seconds * wanted)
    else:
        assert len(samples) == round(1.3 * wanted)


def test_samples_are_contiguous_and_writable(folder: Path) -> None:
    for name in ("noise.wav", "stereo.flac", "noise16000.wav"):
        samples = read_audio(folder / name, read_info(folder / name), 16000, max_seconds=0.2)
        assert samples.flags["C_CONTIGUOUS"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of arrays that cannot be written to
            torch.from_numpy(samples)


# --- what is refused


def test_missing_file(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "nowhere.wav"
    assert refused(lambda: read_info(path)) == f"{path}: no such audio file{REMEDY}"


def test_folder_with_a_files_name(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "x.wav"
    path.mkdir()
    assert refused(lambda: read_info(path)) == f"{path}: no such audio file{REMEDY}"


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
def test_empty_file(tmp_path: Path, refused: Refused, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert refused(lambda: read_info(path)) == f"{path}: is empty (0 bytes){REMEDY}"


@pytest.mark.parametrize("name", ["x.wav", "x.ogg"])
def test_file_without_samples(tmp_path: Path, refused: Refused, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, np.zeros(0), 44100)
    assert refused(lambda: read_info(path)) == f"{path}: holds no samples{REMEDY}"


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.raw", "x"])
def test_text_with_an_audio_files_name(tmp_path: Path, refused: Refused, name: str) -> None:
    path = tmp_path / name
    path.write_text("<html>404 not found</html>\n" * 50)
    assert refused(lambda: read_info(path)) == f"{path}: is not an audio file that can be read, or is damaged{REMEDY}"


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("share", [0.3, 0.999])
def test_truncated_file(folder: Path, tmp_path: Path, refused: Refused, suffix: str, share: float) -> None:
    whole = (folder / f"noise.{suffix}").read_bytes()
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    assert refused(lambda: read_info(path)) == f"{path}: is truncated (it ends before its header says){REMEDY}"


def test_truncated_header(folder: Path, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes((folder / "noise.wav").read_bytes()[:30])
    assert "is not an audio file that can be read, or is damaged" in refused(lambda: read_info(path))


def test_wav_with_chunks_after_its_samples_or_of_unknown_length_is_whole(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "noise.wav").read_bytes()
    assert whole[36:40] == b"data"
    longer, streamed = tmp_path / "longer.wav", tmp_path / "streamed.wav"
    longer.write_bytes(whole + b"LIST\x04\x00\x00\x00INFO")
    streamed.write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])
    assert read_info(longer) == read_info(streamed) == (57330, 44100)


def test_file_that_was_cut_after_it_was_checked(folder: Path, tmp_path: Path, refused: Refused) -> None:
    whole = (folder / "noise.wav").read_bytes()
    path = tmp_path / "x.wav"
    path.write_bytes(whole)
    info = read_info(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert refused(lambda: read_audio(path, info, 16000)) == (
        f"{path}: is truncated (it ends before its header says){REMEDY}"
    )
    for position in (0.9, 1.0):
        message = refused(partial(read_audio, path, info, 16000, max_seconds=0.1, position=position))
        assert message.startswith(f"{path}: cannot be decoded (")
        assert message.endswith(REMEDY_INSIDE)
    path.unlink()
    assert refused(lambda: read_audio(path, info, 16000)).startswith(f"{path}: cannot be decoded (")


def test_flac_damaged_in_the_middle(folder: Path, tmp_path: Path, refused: Refused) -> None:
    damaged = bytearray((folder / "noise.flac").read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 4000] = bytes(4000)
    path = tmp_path / "x.flac"
    path.write_bytes(damaged)
    message = refused(lambda: read_audio(path, read_info(path), 44100))
    assert message.startswith(f"{path}: cannot be decoded (")
    assert message.endswith(REMEDY_INSIDE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, refused: Refused, value: float) -> None:
    samples = noise(4000, 2)
    samples[3000, 1] = value
    path = tmp_path / "x.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    info = read_info(path)
    assert refused(lambda: read_audio(path, info, 16000)) == f"{path}: holds NaN or infinite samples{REMEDY_INSIDE}"
    assert len(read_audio(path, info, 16000, max_seconds=0.1)) == 1600  # the damage is behind the crop


def test_file_too_short_for_the_sample_rate(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(1), 44100)
    message = refused(lambda: read_audio(path, AudioInfo(1, 44100), 16000))
    assert message == f"{path}: too short to hold one sample at 16000 Hz{REMEDY}"


# --- batches


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    counts=st.lists(st.integers(1, 5), min_size=8, max_size=8),
)
@settings(deadline=None, max_examples=50)
def test_collate_pads_with_zeros_and_keeps_track_of_captions(lengths: list[int], counts: list[int]) -> None:
    examples = [
        Example(
            waveform=np.full(length, row + 1, np.float32),
            audio_id=100 - row,
            name=f"{row}.wav",
            captions=[f"caption {i} of {row}" for i in range(count)],
            caption_ids=[1000 * row + i for i in range(count)],
        )
        for row, (length, count) in enumerate(zip(lengths, counts, strict=False))
    ]
    batch = collate(examples)
    assert batch.waveforms.dtype == torch.float32
    assert batch.waveforms.shape == (len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        assert (batch.waveforms[row, :length] == row + 1).all()
        assert (batch.waveforms[row, length:] == 0).all()
    assert batch.lengths.tolist() == lengths
    assert batch.audio_ids.tolist() == [100 - row for row in range(len(lengths))]
    assert batch.names == [f"{row}.wav" for row in range(len(lengths))]
    for ids in (batch.lengths, batch.audio_ids, batch.caption_ids, batch.caption_audio):
        assert ids.dtype == torch.int64
    expected = [(row, i) for row in range(len(lengths)) for i in range(counts[row])]
    assert batch.caption_audio.tolist() == [row for row, _ in expected]
    assert batch.captions == [f"caption {i} of {row}" for row, i in expected]
    assert batch.caption_ids.tolist() == [1000 * row + i for row, i in expected]
