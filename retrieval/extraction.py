"""Features of all recordings of a data set by an audio encoder, into a store: by several processes, resumable.

The recordings are cut into parts. A finished part is two files, and a killed extraction goes through those that are
not finished; the parts then become the store. So what lies in the folder in the end does not depend on kills.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track

from common.atomic_files import replacing
from common.errors import DataError
from common.filled_folder import PLAN, Failures, check_plan, each_done, filling, json_in, write_failures
from datamodules.annotated import AnnotatedDataModule
from datamodules.audio import Segment, part_of, read_audio
from datamodules.audio_folder import AudioFolder
from datamodules.base import AudioCaptionDataModule
from datamodules.batch import Batch, Example, collate
from datamodules.experts.store import (
    FACTS,
    FRAMES,
    RECORDINGS,
    Recording,
    captions_checksum,
    read_facts,
    recordings_checksum,
    write_header,
    write_store,
)
from datamodules.mono import Mix
from experiments.provenance import package_versions, weights_sha256
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.states import States

PART = 128
"""Recordings a part: what is lost, for each worker, when the process is killed."""
PARTS = "parts"


@dataclass(frozen=True)
class Settings:
    """How frames are made.

    Attributes:
        name: of the expert.
        batch_size: recordings that are computed at a time.
        max_seconds: what is longer is cut there.
        dtype: of the frames that are written.
        device: where the encoder runs.
        mix: what is taken of several channels.
    """

    name: str
    batch_size: int = 8
    max_seconds: float | None = None
    dtype: str = "float16"
    device: str = "cpu"
    mix: Mix = "mean"


def files_of(data: AudioCaptionDataModule) -> list[tuple[Recording, Path | None, Segment | None]]:
    """Every recording of every split, in order of ids, its file, where there is one, and the part of it that it is.

    Raises:
        DataError: the data module has no files of its own, or none is there.
    """
    if data.experts or getattr(data, "packed", None):
        raise DataError("features are extracted from the audio files; leave data.experts and data.packed out")
    data.prepare_data()
    found: list[tuple[Recording, Path | None, Segment | None]] = []
    if isinstance(data, AudioFolder):
        data.setup("predict")
        files = data.predict_files().items()
        found = [(Recording("test", name, captions_checksum([])), path, None) for name, path in files]
    elif isinstance(data, AnnotatedDataModule):
        for split in data.splits:
            places = zip(data.recordings(split), data.located(split)[1], strict=True)
            found += [(recording, path, segment) for recording, (path, segment) in places]
    else:
        raise DataError(f"{type(data).__name__} has no files of its own; give the data set that it was made of")
    if all(path is None for _, path, _ in found):
        raise DataError("data.root: holds no audio of the annotated recordings; check the path")
    return found


def extract(
    data: AudioCaptionDataModule, encoder: AudioEncoder, folder: Path, settings: Settings, workers: int = 1
) -> tuple[int, Failures]:
    """Write a store of a data set's features; how many recordings it lists, and (name, error) of what failed.

    Raises:
        DataError: the folder holds another extraction, another process writes it, a process died, or nothing could be
            read.
    """
    recordings = files_of(data)
    encoder = encoder.eval().requires_grad_(False)
    facts = {
        "expert": settings.name,
        "encoder": type(encoder).__name__,
        "weights_sha256": weights_sha256(encoder.state_dict()),
        "sample_rate": encoder.sample_rate,
        "hop_seconds": encoder.hop_seconds,
        "max_seconds": settings.max_seconds,
        "mix": settings.mix,
        "data_set": type(data).__name__,
        "data_sha256": recordings_checksum([recording for recording, _, _ in recordings]),
    }
    plan = {**facts, "dtype": settings.dtype, "batch_size": settings.batch_size, "part": PART}
    present = [(recording, path, segment) for recording, path, segment in recordings if path is not None]
    if any(segment for _, _, segment in present):
        plan["parts_of_files"] = True  # earlier versions took the whole file
    parts = [present[begin : begin + PART] for begin in range(0, len(present), PART)]
    with filling(folder, FACTS, FRAMES, RECORDINGS, "failures.csv"):
        if (folder / FACTS).exists() and not (folder / PLAN).exists():
            raise DataError(f"{folder}: holds a store that was imported; give another folder, or delete it")
        check_plan(folder, plan)
        if not (folder / FACTS).exists():
            jobs = [(folder / PARTS / f"{number:06d}", part) for number, part in enumerate(parts)]
            threads = max(1, torch.get_num_threads() // workers)
            done = each_done(_renew, jobs, workers, _begin, encoder, settings, threads)
            for _ in track(done, "extracting", len(jobs), transient=True):
                pass
            _join(folder, [path for path, _ in jobs], {**facts, "versions": package_versions()})
        failures = _read_failures(folder / "failures.csv")
        count = int(read_facts(folder)["recordings"])
        if count + len(failures) != len(present):
            raise DataError(
                f"{folder}: was made when {count + len(failures)} of the recordings had a file, now {len(present)} "
                "have one; delete it and extract again, or give another folder"
            )
        return count, failures


_IN_WORKER: list[tuple[AudioEncoder, Settings]] = []


def _begin(encoder: AudioEncoder, settings: Settings, threads: int) -> None:
    torch.set_num_threads(threads)
    _IN_WORKER[:] = [(encoder.to(settings.device), settings)]


def _renew(path: Path, recordings: list[tuple[Recording, Path, Segment | None]]) -> None:
    renew_part(path, recordings, *_IN_WORKER[0])


def renew_part(
    path: Path, recordings: Sequence[tuple[Recording, Path, Segment | None]], encoder: AudioEncoder, settings: Settings
) -> None:
    """Write a part, unless it is there and of the same files: `path`.npy, the frames, and then `path`.json.

    Args:
        path: without an ending.
        recordings: those of the part, with their files and the parts of these that they are.
        encoder: in eval mode.
        settings: see there.
    """
    made = [encoder.sample_rate, settings.max_seconds, settings.mix, settings.dtype]
    files = [made, *([row.name, (status := file.stat()).st_size, status.st_mtime_ns] for row, file, _ in recordings)]
    table = path.with_suffix(".json")
    former = json_in(table) if table.is_file() else None
    if isinstance(former, dict) and former.get("files") == files:
        return
    frames: list[npt.NDArray[np.floating]] = []
    listed: list[tuple[Recording, int]] = []
    failures: Failures = []
    for begin in range(0, len(recordings), settings.batch_size):
        readable: list[Recording] = []
        examples: list[Example] = []
        for recording, file, segment in recordings[begin : begin + settings.batch_size]:
            try:
                info, first = part_of(file, segment)
                waveform = read_audio(
                    file, info, encoder.sample_rate, max_seconds=settings.max_seconds, begin=first, mix=settings.mix
                )
            except DataError as error:
                failures.append((recording.name, str(error)))
                continue
            readable.append(recording)
            examples.append(Example(waveform, 0, recording.name, [], []))
        if not examples:
            continue
        for recording, rows in zip(readable, frames_of(encoder, collate(examples), settings.device), strict=True):
            with np.errstate(over="ignore"):
                written = rows.astype(settings.dtype)
            if not np.isfinite(written).all():
                failures.append((recording.name, f"its frames are NaN, or too large for {settings.dtype}"))
                continue
            frames.append(written)
            listed.append((recording, len(rows)))
    joined = np.concatenate(frames) if frames else np.empty((0, encoder.dim), settings.dtype)
    with replacing(path.with_suffix(".npy")) as beside:
        np.save(beside, joined)
    with replacing(table) as beside:
        beside.write_text(json.dumps({"files": files, "listed": listed, "failures": failures}))


@torch.inference_mode()
def frames_of(encoder: AudioEncoder, batch: Batch, device: str = "cpu") -> list[npt.NDArray[np.float32]]:
    """Frames (T, D) of each recording of a batch; of an encoder that gives one vector, T is 1."""
    encoded = encoder(batch.waveforms.to(device), batch.lengths.to(device))
    if not isinstance(encoded, States):
        encoded = States(encoded[:, None], torch.ones(len(encoded), dtype=torch.int64))
    values = encoded.values.float().cpu().numpy()
    return [rows[:length] for rows, length in zip(values, encoded.lengths.tolist(), strict=True)]


def _join(folder: Path, parts: Sequence[Path], facts: dict[str, Any]) -> None:
    """Make the store of all parts, and delete them."""
    tables = [json.loads(part.with_suffix(".json").read_text()) for part in parts]
    listed = [(Recording(*recording), count) for table in tables for recording, count in table["listed"]]
    failures = [failure for table in tables for failure in table["failures"]]
    write_failures(folder / "failures.csv", failures)
    if not listed:
        raise DataError(f"{folder / 'failures.csv'}: none of the {len(failures)} recordings could be used; fix them")
    with replacing(folder / FRAMES) as beside, beside.open("wb") as stream:
        arrays = [np.load(part.with_suffix(".npy"), mmap_mode="r") for part in parts]
        write_header(stream, str(arrays[0].dtype), sum(map(len, arrays)), arrays[0].shape[1])
        for array in arrays:
            stream.write(array.tobytes())
    write_store(folder, [recording for recording, _ in listed], [count for _, count in listed], facts)
    for part in parts:
        part.with_suffix(".npy").unlink()
        part.with_suffix(".json").unlink()
    (folder / PARTS).rmdir()


def _read_failures(path: Path) -> Failures:
    with path.open(newline="", encoding="utf-8") as file:
        return [(name, error) for name, error in list(csv.reader(file))[1:]]
