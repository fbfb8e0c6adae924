"""Pack a data set's audio into shards at the training rate: `python pack.py FOLDER --data Clotho --data.root ROOT`.

A crop out of a shard is one read: nothing is decoded or resampled. Train on them with `--data.packed FOLDER`. Start it
once more after a kill and it does the rest; recordings that cannot be read are listed in FOLDER/failures.csv and the
others packed. Start it once more when files were mended, deleted or added, and it packs their shards anew. For the
layout see datamodules/shards/format.py, for the whole of it docs/large_data.md.
"""

import os
import sys
from pathlib import Path

from jsonargparse import Namespace  # type: ignore[attr-defined]

import cli.components  # noqa: F401  (so that --data can name them)
from cli.parser import OneLineParser
from common.errors import DataError
from common.text import refused_by_system
from datamodules.annotated import AnnotatedDataModule
from datamodules.audio import HIGHEST_RATE
from datamodules.shards.packing import all_recordings, pack


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
    if options.sample_rate > HIGHEST_RATE:  # a typing error would fill the disk
        parser.error(f"--sample_rate is {options.sample_rate}: give at most {HIGHEST_RATE} (Hz)")
    try:
        options.data_module = parser.instantiate(options).data
    except ValueError as error:
        parser.error(str(error.__cause__ or error))  # jsonargparse wraps what a class refuses
    return options


if __name__ == "__main__":
    sys.exit(main())
