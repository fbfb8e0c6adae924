"""Pack a data set's audio into shards at the training rate: `python pack.py FOLDER --data Clotho --data.root ROOT`.

A crop out of a shard is one read: nothing is decoded or resampled. Train on them with `--data.packed FOLDER`. Start it
once more after a kill and it does the rest; recordings that cannot be read are listed in FOLDER/failures.csv and the
others packed. Start it once more when files were mended, deleted or added, and it packs their shards anew. For the
layout see datamodules/shards.py, for the whole of it docs/large_data.md.
"""

import csv
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from filelock import FileLock, Timeout
from jsonargparse import Namespace  # type: ignore[attr-defined]
from rich.progress import track

# Imported so that --data can name them without their modules.
import datamodules.audiocaps
import datamodules.clotho
import datamodules.synthetic
import datamodules.wavcaps  # noqa: F401
from command_line import OneLineParser, refused_by_system
from datamodules.annotated import AnnotatedDataModule
from datamodules.errors import DataError
from datamodules.processes import end_with_parent
from datamodules.shards import Recording, renew_shard, write_index

FORMAT = 3
"""Of the shards and their index; 1 had no captions in the index, and shards of several splits; 2 no place in a shard
for a recording without a file, and no sizes of shards."""


def main(arguments: list[str] | None = None) -> int:
    """Pack; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    options = parse(arguments)
    try:
        recordings = all_recordings(options.data_module)
        failures = pack(recordings, options.folder, options.sample_rate, options.shard_size, options.workers)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {refused_by_system(error)}", file=sys.stderr)
        return 1
    present = sum(recording.path is not None for recording in recordings)
    packed, listed = present - len(failures), options.folder / "failures.csv"
    if not packed:
        print(f"error: {listed}: none of the {present} recordings could be read; get them anew", file=sys.stderr)
        return 1
    print(f"{packed} of {present} recordings packed; train on them with --data.packed {options.folder}")
    if failures:
        print(f"{len(failures)} could not be read: {listed}; get them anew and start the same command once more")
    return 0


def parse(arguments: list[str] | None) -> Namespace:
    """The command line, with the data module built."""
    parser = OneLineParser(prog="pack.py", description=__doc__, dump_header=None, allow_abbrev=False)
    parser.add_argument("folder", type=Path, help="where the shards go")
    parser.add_subclass_arguments(AnnotatedDataModule, "data", help="the data set, as in a config", required=True)
    parser.add_argument("--sample_rate", type=int, default=32000, help="in Hz: what the audio encoder wants")
    parser.add_argument("--shard_size", type=int, default=500, help="recordings a shard")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    for name in ("sample_rate", "shard_size", "workers"):
        if options[name] < 1:
            parser.error(f"--{name} is {options[name]}: give at least 1")
    try:
        options.data_module = parser.instantiate(options).data
    except ValueError as error:
        parser.error(str(error.__cause__ or error))  # jsonargparse wraps what a class refuses
    return options


def all_recordings(data: AnnotatedDataModule) -> list[Recording]:
    """Every annotated recording of every split, in the order of the annotation files; some may have no file."""
    data.prepare_data()
    found: list[Recording] = []
    for split in data.splits:
        annotations = data.annotations(split)
        _, paths = data.find_audio(split, [row.name for row in annotations])
        found += [
            Recording(audio_id, split, row.name, row.captions, path)
            for audio_id, (row, path) in enumerate(zip(annotations, paths, strict=True), len(found))
        ]
    if all(recording.path is None for recording in found):
        raise DataError(f"{data.root}: holds no audio of the annotated recordings; {data.how_to_get}")
    return found


def pack(
    recordings: list[Recording], folder: Path, sample_rate: int, shard_size: int, workers: int
) -> list[tuple[str, str]]:
    """Write the shards that are not there or not current, then their common index; (name, error) of what failed.

    What lies in the folder then is, byte for byte, what packing the same files into an empty one gives.

    (A file that was packed and is another one now is not noticed; delete its shard.)

    Raises:
        DataError: the folder holds shards of other recordings, or of the same ones packed otherwise; another process
            packs into it; or a process died.
    """
    parts = shard_parts(recordings, shard_size)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            _check_plan(folder / "plan.json", recordings, sample_rate, shard_size)
            for unfinished in folder.glob(".*.part"):
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

    What is read one after the other, when shards are streamed, should not be what is alike, as annotation files order
    it (by source, say): the order is that of checksums of the names. A recording without a file has its place, so that
    a file that comes or goes changes one shard.
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
                "a packing process was killed, perhaps for want of memory; start the same command once more, it goes "
                "on, with fewer --workers"
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
        former = json.loads(path.read_text())
        if differing := [key for key in plan if former.get(key) != plan[key]]:
            raise DataError(
                f"{path.parent}: holds shards of another packing ({', '.join(differing)} differ); give another folder, "
                "or delete it"
            )
        return
    beside = path.with_name(".plan.json.part")
    beside.write_text(json.dumps(plan, indent=2) + "\n")
    beside.replace(path)


def _write_failures(path: Path, failures: list[tuple[str, str]]) -> None:
    beside = path.with_name(".failures.csv.part")
    with beside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "error"), *failures])
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
