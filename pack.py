"""Pack a data set's audio into shards at the training rate: `python pack.py FOLDER --data Clotho --data.root ROOT`.

A crop out of a shard is one read: nothing is decoded or resampled. Train on them with `--data.packed FOLDER`. Start it
once more after a kill and it does the rest; recordings that cannot be read are listed in FOLDER/failures.csv and the
others packed. For the layout see datamodules/shards.py.
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
from pathlib import Path

from jsonargparse import Namespace  # type: ignore[attr-defined]
from rich.progress import track

# Imported so that --data can name them without their modules.
import datamodules.audiocaps
import datamodules.clotho
import datamodules.synthetic
import datamodules.wavcaps  # noqa: F401
from command_line import OneLineParser
from datamodules.annotated import AnnotatedDataModule
from datamodules.errors import DataError
from datamodules.shards import Recording, shard_files, write_index, write_shard


def main(arguments: list[str] | None = None) -> int:
    """Pack; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    options = parse(arguments)
    try:
        recordings = all_recordings(options.data_module)
        failures = pack(recordings, options.folder, options.sample_rate, options.shard_size, options.workers)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    packed = len(recordings) - len(failures)
    print(f"{packed} of {len(recordings)} recordings packed; train on them with --data.packed {options.folder}")
    if failures:
        print(f"{len(failures)} could not be read: {options.folder / 'failures.csv'}")
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
    options.data_module = parser.instantiate_classes(options).data
    return options


def all_recordings(data: AnnotatedDataModule) -> list[Recording]:
    """Every annotated recording of every split that has a file, in the order of the annotation files."""
    data.prepare_data()
    found = []
    for split in data.splits:
        annotations = data.annotations(split)
        _, paths = data.find_audio(split, [row.name for row in annotations])
        found += [
            Recording(split, row.name, row.captions, path)
            for row, path in zip(annotations, paths, strict=True)
            if path is not None
        ]
    if not found:
        raise DataError(f"{data.root}: holds no audio of the annotated recordings; {data.how_to_get}")
    return found


def pack(
    recordings: list[Recording], folder: Path, sample_rate: int, shard_size: int, workers: int
) -> list[tuple[str, str]]:
    """Write the shards that are not there yet, then their common index; (name, error) of what could not be read.

    Raises:
        DataError: the folder holds shards of other recordings, or of the same ones packed otherwise.
    """
    parts = [list(part) for part in _batched(recordings, shard_size)]
    folder.mkdir(parents=True, exist_ok=True)
    _check_plan(folder / "plan.json", recordings, sample_rate, shard_size)
    left = [number for number in range(len(parts)) if not shard_files(folder, number)[1].is_file()]
    jobs = [(folder, number, parts[number], sample_rate) for number in left]
    for _ in track(_done(jobs, workers), "packing", total=len(jobs), transient=True):
        pass
    failures = write_index(folder, len(parts), sample_rate)
    _write_failures(folder / "failures.csv", failures)
    return failures


def _done(jobs: list[tuple[Path, int, list[Recording], int]], workers: int) -> Iterator[int]:
    """Write shards, as many at a time as there are workers; yields as each is done."""
    if workers == 1:
        yield from itertools.starmap(write_shard, jobs)
        return
    # spawn: the data modules may have brought threads along, of which a fork would copy the locks
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            for job in as_completed([pool.submit(write_shard, *job) for job in jobs]):
                yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _batched(recordings: list[Recording], size: int) -> Iterator[tuple[Recording, ...]]:
    iterator = iter(recordings)
    while part := tuple(itertools.islice(iterator, size)):
        yield part


def _check_plan(path: Path, recordings: list[Recording], sample_rate: int, shard_size: int) -> None:
    names = "\n".join(f"{recording.split}\t{recording.name}" for recording in recordings)
    digest = hashlib.sha256(names.encode()).hexdigest()
    plan = {"recordings_sha256": digest, "sample_rate": sample_rate, "shard_size": shard_size}
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
