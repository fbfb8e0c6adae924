"""A data set's recordings, packed into shards by several processes, resumable."""

import csv
import hashlib
import itertools
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from filelock import FileLock, Timeout
from rich.progress import track

from common.atomic_files import UNFINISHED, check_free, replacing
from common.errors import DataError
from common.processes import end_with_parent
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


def pack(
    recordings: list[Recording], folder: Path, sample_rate: int, shard_size: int, workers: int
) -> list[tuple[str, str]]:
    """Write the shards that are not there or not current, then their common index; (name, error) of what failed.

    What lies in the folder then is, byte for byte, what packing the same files into an empty one gives.

    A file that was packed and has changed since is not noticed; delete its shard.

    Raises:
        DataError: the folder holds shards of other recordings, or of the same ones packed otherwise, or other files of
            their names; another process packs into it; or a process died.
    """
    parts = shard_parts(recordings, shard_size)
    check_free(folder, "shard-*.tar", "shard-*.parquet", "index.parquet", "failures.csv")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            _check_plan(folder / "plan.json", recordings, sample_rate, shard_size)
            for unfinished in folder.glob(UNFINISHED):
                unfinished.unlink()
            jobs = [(folder, number, part, sample_rate) for number, part in enumerate(parts)]
            for _ in track(_done(jobs, workers), "packing", total=len(jobs), transient=True):
                pass
            failures = write_index(folder, len(parts), sample_rate)
            _write_failures(folder / "failures.csv", failures)
    except Timeout as error:
        raise DataError(f"{folder}: another process packs into it; wait for it, or give another folder") from error
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


def _done(jobs: list[tuple[Path, int, list[Recording], int]], workers: int) -> Iterator[None]:
    """`renew_shard`, as many at a time as there are workers; yields as each is done."""
    if workers == 1:
        yield from itertools.starmap(renew_shard, jobs)
        return
    # spawn: the data modules may have brought threads along, of which a fork would copy the locks
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), end_with_parent) as pool:
        try:
            for job in as_completed([pool.submit(renew_shard, *job) for job in jobs]):
                yield job.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a packing process was killed, perhaps because memory ran out; run the same command again, it "
                "continues, with fewer --workers"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _check_plan(path: Path, recordings: list[Recording], sample_rate: int, shard_size: int) -> None:
    """Whether what is annotated is packed as before; which files are there may differ."""
    digest = hashlib.sha256()
    for recording in recordings:
        about = (recording.split, recording.name, recording.captions)
        digest.update(f"{json.dumps(about)}\n".encode())
    plan = {
        "format": FORMAT,
        "recordings_sha256": digest.hexdigest(),
        "sample_rate": sample_rate,
        "shard_size": shard_size,
    }
    if path.is_file():
        former = _read_plan(path)
        if differing := [key for key in plan if former.get(key) != plan[key]]:
            raise DataError(
                f"{path.parent}: holds shards of another packing ({', '.join(differing)} differ); give another folder, "
                "or delete it"
            )
        return
    with replacing(path) as beside:
        beside.write_text(json.dumps(plan, indent=2) + "\n")


def _read_plan(path: Path) -> dict[str, object]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        plan = None
    if not isinstance(plan, dict):
        raise DataError(
            f"{path}: is damaged, so what the shards beside it hold is not known; delete {path.parent} and pack "
            "again, or give another folder"
        )
    return plan


def _write_failures(path: Path, failures: list[tuple[str, str]]) -> None:
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "error"), *failures])
