"""`audio-relevance import-features`: published features of a data set."""

from __future__ import annotations

import argparse
import math

from cli.command import Command


class ImportFeatures(Command):
    """Import published features of a data set."""

    name = "import-features"
    summary = "turn an archive of features, as its authors published it, into a store"
    description = """\
Read an archive of features: a hickle 3 to 5 (HDF5) file, or a pickle, of a dict from recording id to frames
(T, D) or one vector (D,), NaN where a recording has none. A pickle that names anything but arrays and plain
values is refused, and nothing of it is executed. Train on the store with `--data.experts.NAME FOLDER`."""
    epilog = """\
example:
  $ audio-relevance import-features vggish-raw.hickle --data Synthetic --data.root data/small \\
      --data.train_clips 40 --data.validation_clips 8 --data.test_clips 8 --name vggish \\
      --sample_rate 16000 --hop_seconds 0.96 --output features/imported/vggish
  55 of 56 recordings imported; train on them with --data.experts.vggish features/imported/vggish
  1 have no features (NaN): development_00000.wav"""
    has_own_parser = True

    def run(self, options: argparse.Namespace) -> None:
        """Import and report."""
        from pathlib import Path
        from typing import Literal

        from cli.data_parser import built, data_parser
        from datamodules.annotated import AnnotatedDataModule
        from datamodules.experts.importing import import_archive

        parser = data_parser(self.name, self.description, self.epilog, AnnotatedDataModule)
        parser.add_argument("archive", type=Path, help="the file")
        parser.add_argument("--output", type=Path, required=True, help="folder of the store")
        parser.add_argument("--name", type=str, required=True, help="of the expert")
        parser.add_argument("--sample_rate", type=int | None, default=None, help="in Hz, if known")
        parser.add_argument(
            "--hop_seconds", type=float | None, default=None, help="from frame to frame, in s, if known"
        )
        parser.add_argument("--dtype", type=Literal["float16", "float32"], default="float32", help="of the frames")
        parsed = parser.parse_args(options.arguments)
        if not parsed.name.isidentifier():
            parser.error(f"name is {parsed.name!r}; give letters, digits and underscores")
        for name in ("sample_rate", "hop_seconds"):
            if parsed[name] is not None and not 0 < parsed[name] < math.inf:
                parser.error(f"{name} is {parsed[name]:g}; give a number above 0, or leave it out")
        facts = {"expert": parsed.name, "sample_rate": parsed.sample_rate, "hop_seconds": parsed.hop_seconds}
        data, output = built(parser, parsed).data, parsed.output.expanduser()
        done = import_archive(data, parsed.archive.expanduser(), output, facts, parsed.dtype)
        total = done.imported + len(done.absent) + len(done.missing)
        print(
            f"{done.imported} of {total} recordings imported; train on them with --data.experts.{parsed.name} {output}"
        )
        for names, why in ((done.missing, "have no features (NaN)"), (done.absent, "are not in the archive")):
            if names:
                shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
                print(f"{len(names)} {why}: {shown}")
