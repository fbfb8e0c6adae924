"""A data set's recordings, packed into shards by several processes, resumable."""

import hashlib
import json
from pathlib import Path
from typing import Any

from rich.progress import track

from common.errors import DataError
from common.filled_folder import Failures, check_plan, each_done, filling, write_failures
from datamodules.annotated import AnnotatedDataModule
from datamodules.shards.format import Recording, renew_shard, write_index

FORMAT = 3
"""Of the shards and their index; 1 had no captions in the index, and shards of several splits; 2 no place in a shard
for a recording without a file, and no sizes of shards."""


def all_recordings(data: AnnotatedDataModule) -> list[Recording]:
    """Every annotated recording of every split, in the order of the annotation files; some may have no file."""
    data.prepare_data()
    found: list[Recording] = []
    for split in data.splits:
        annotations = data.annotations(split)
        _, places = data.located(split)
        if any(segment for _, segment in places):
            raise DataError(f"{data.root}: its recordings are parts of longer files, which cannot be packed yet")
        found += [
            Recording(audio_id, split, row.name, row.captions, path)
            for audio_id, (row, (path, _)) in enumerate(zip(annotations, places, strict=True), len(found))
        ]
    if all(recording.path is None for recording in found):
        raise DataError(f"{data.root}: holds no audio of the annotated recordings; {data.how_to_get}")
    return found


def pack(recordings: list[Recording], folder: Path, sample_rate: int, shard_size: int, workers: int) -> Failures:
    """Write the shards that are not there or not current, then their common index; (name, error) of what failed.

    What lies in the folder then is, byte for byte, what packing the same files into an empty one gives.

    A file that was packed and has changed since is not noticed; delete its shard.

    Raises:
        DataError: the folder holds shards of other recordings, or of the same ones packed otherwise, or other files of
            their names; another process packs into it; or a process died.
    """
    parts = shard_parts(recordings, shard_size)
    with filling(folder, "shard-*.tar", "shard-*.parquet", "index.parquet", "failures.csv"):
        check_plan(folder, _plan(recordings, sample_rate, shard_size))
        jobs = [(folder, number, part, sample_rate) for number, part in enumerate(parts)]
        for _ in track(each_done(renew_shard, jobs, workers), "packing", total=len(jobs), transient=True):
            pass
        failures = write_index(folder, len(parts), sample_rate)
        write_failures(folder / "failures.csv", failures)
    return failures


def shard_parts(recordings: list[Recording], shard_size: int) -> list[list[Recording]]:
    """The recordings of each shard: all of one split, in an order without meaning.

    What is read one after the other, when shards are streamed, should not be similar, as it is in annotation files
    (ordered by source, say): the order is that of checksums of the names. A recording without a file keeps its place,
    so a file that is added or deleted changes one shard.
    """
    parts = []
    for split in dict.fromkeys(recording.split for recording in recordings):
        members = [recording for recording in recordings if recording.split == split]
        members.sort(key=lambda recording: hashlib.sha256(recording.name.encode()).digest())
        parts += [members[begin : begin + shard_size] for begin in range(0, len(members), shard_size)]
    return parts


def _plan(recordings: list[Recording], sample_rate: int, shard_size: int) -> dict[str, Any]:
    """What is annotated and how it is packed; which files are there may differ."""
    digest = hashlib.sha256()
    for recording in recordings:
        about = (recording.split, recording.name, recording.captions)
        digest.update(f"{json.dumps(about)}\n".encode())
    return {
        "format": FORMAT,
        "recordings_sha256": digest.hexdigest(),
        "sample_rate": sample_rate,
        "shard_size": shard_size,
    }
