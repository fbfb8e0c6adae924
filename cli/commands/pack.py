"""`audio-relevance pack`: a data set's audio in shards."""

from __future__ import annotations

import argparse
import sys

from cli.command import Command


class Pack(Command):
    """Pack a data set's audio into shards."""

    name = "pack"
    summary = "pack a data set's audio, resampled, into shards that are read 20 times faster"
    description = """\
Pack a data set's audio into shards at the training rate. A crop from a shard is one read: nothing is decoded
or resampled. Train on them with `--data.packed FOLDER`. After a kill the same command does the rest;
recordings that cannot be read are listed in FOLDER/failures.csv and the others packed. When files were fixed,
deleted or added, the same command packs their shards again. The layout is in datamodules/shards/format.py,
the whole in docs/large_data.md."""
    epilog = """\
example:
  $ audio-relevance pack packed --data Synthetic --data.root data/synthetic
  1700 of 1700 recordings packed; train on them with --data.packed packed"""
    interrupted = "interrupted; the same command continues"
    has_own_parser = True

    def run(self, options: argparse.Namespace) -> int:
        """Pack; 1 where nothing could be read."""
        import os
        from pathlib import Path

        from cli.data_parser import MOST_WORKERS, built, check_range, data_parser
        from common.text import first_of
        from datamodules.annotated import AnnotatedDataModule
        from datamodules.audio import HIGHEST_RATE, LOWEST_RATE
        from datamodules.shards.packing import all_recordings, pack

        parser = data_parser(self.name, self.description, self.epilog, AnnotatedDataModule)
        parser.add_argument("folder", type=Path, help="where the shards go")
        parser.add_argument("--sample_rate", type=int, default=32000, help="in Hz: what the audio encoder wants")
        parser.add_argument("--shard_size", type=int, default=500, help="recordings a shard")
        parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
        parsed = parser.parse_args(options.arguments)
        check_range(parser, parsed, "shard_size")
        check_range(parser, parsed, "sample_rate", low=LOWEST_RATE, high=HIGHEST_RATE)  # one more digit fills the disk
        check_range(parser, parsed, "workers", high=MOST_WORKERS)
        recordings = all_recordings(built(parser, parsed).data)
        failures = pack(recordings, parsed.folder, parsed.sample_rate, parsed.shard_size, parsed.workers)
        present = sum(recording.path is not None for recording in recordings)
        packed, listed = present - len(failures), parsed.folder / "failures.csv"
        if not packed:
            print(f"error: {listed}: none of the {present} recordings could be read; get them again", file=sys.stderr)
            return 1
        print(f"{packed} of {present} recordings packed; train on them with --data.packed {parsed.folder}")
        if absent := [recording.name for recording in recordings if recording.path is None]:
            print(f"{len(absent)} annotated recordings have no file and are left out: {first_of(absent, 10)}")
        if failures:
            print(f"{len(failures)} could not be read: {listed}; get them again and run the same command")
        return 0
