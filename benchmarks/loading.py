"""How long does a 10 s crop take, from shards, from wav files, and out of HDF5?

    python benchmarks/loading.py --clips 200 --repeats 5

Recordings of 15 to 30 s at 44.1 kHz, mono, 16 bit, noise; crops at random places, at 32 kHz, one process. The peers:
soundfile (seek, then the crop alone) with soxr, and h5py with int16 at 32 kHz as public systems cache it. h5py is no
dependency of this project: `pip install h5py`, else it is left out. All files are in the page cache.
"""

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from timing import command_line, in_turns

from datamodules.audio import AudioInfo, read_audio, read_info
from datamodules.shards.format import Recording, read_index, write_index, write_shard

RATE, SECONDS = 32000, 10.0
Crop = Callable[[int, float], npt.NDArray[np.float32]]


def write_corpus(folder: Path, clips: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.wav" for i in range(clips)]
    for path in paths:
        samples = 0.1 * rng.standard_normal(round(44100 * rng.uniform(15, 30)))
        soundfile.write(path, samples, 44100, subtype="PCM_16")
    return paths


def from_shards(folder: Path, paths: list[Path]) -> Crop:
    write_shard(folder, 0, [Recording(i, "train", path.name, [], path) for i, path in enumerate(paths)], RATE)
    write_index(folder, 1, RATE)
    index = read_index(folder, RATE)
    audio = [index["train", path.name] for path in paths]

    def crop(i: int, position: float) -> npt.NDArray[np.float32]:
        info = AudioInfo(audio[i].frames, RATE)
        return read_audio(audio[i].shard, info, RATE, max_seconds=SECONDS, position=position, offset=audio[i].offset)

    return crop


def from_files_by_ours(paths: list[Path]) -> Crop:
    infos = [read_info(path) for path in paths]

    def crop(i: int, position: float) -> npt.NDArray[np.float32]:
        return read_audio(paths[i], infos[i], RATE, max_seconds=SECONDS, position=position)

    return crop


def from_files(paths: list[Path]) -> Crop:
    def crop(i: int, position: float) -> npt.NDArray[np.float32]:
        with soundfile.SoundFile(paths[i]) as file:
            wanted = round(SECONDS * file.samplerate)
            file.seek(int(position * (file.frames - wanted)))
            samples = file.read(wanted, dtype="float32")
            resampled: npt.NDArray[np.float32] = soxr.resample(samples, file.samplerate, RATE)
        return resampled

    return crop


def from_hdf5(path: Path, paths: list[Path]) -> Crop | None:
    try:
        import h5py
    except ImportError:
        return None
    with h5py.File(path, "w") as file:
        for i, source in enumerate(paths):
            waveform = read_audio(source, read_info(source), RATE)
            file[str(i)] = np.clip(np.round(32767 * waveform), -32768, 32767).astype(np.int16)
    opened = h5py.File(path, "r")

    def crop(i: int, position: float) -> npt.NDArray[np.float32]:
        dataset = opened[str(i)]
        wanted = round(SECONDS * RATE)
        start = int(position * (len(dataset) - wanted))
        samples: npt.NDArray[np.float32] = dataset[start : start + wanted].astype(np.float32) / 32767
        return samples

    return crop


def crop_all(crop: Crop, draws: list[tuple[int, float]]) -> None:
    for i, position in draws:
        crop(i, position)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_corpus(Path(folder), options.clips)
        crops = {
            "shards": from_shards(Path(folder), paths),
            "h5py, int16": from_hdf5(Path(folder) / "audio.h5", paths),
            "wav files, ours": from_files_by_ours(paths),
            "wav files, soundfile + soxr": from_files(paths),
        }
        rng = np.random.default_rng(1)
        draws = [(int(rng.integers(options.clips)), float(rng.random())) for _ in range(options.clips)]
        readers = {name: partial(crop_all, crop, draws) for name, crop in crops.items() if crop is not None}
        times = in_turns(readers, options.repeats)
    ours = statistics.median(times["shards"])
    print(f"a {SECONDS:g} s crop of {options.clips} clips, median (range) of {options.repeats} rounds")
    for name, seconds in times.items():
        values = [1000 * taken / options.clips for taken in seconds]
        median = statistics.median(values)
        ratio = statistics.median(seconds) / ours
        print(f"{name:28} {median:7.3f} ms ({min(values):.3f} to {max(values):.3f})  {ratio:6.2f} times ours")


if __name__ == "__main__":
    main()
