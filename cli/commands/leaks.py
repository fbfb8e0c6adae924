"""`audio-relevance leaks`: recordings that are trained on in one place and evaluated on in another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from datamodules.annotated import AnnotatedDataModule
    from retrieval.hygiene.checks import Part


class Leaks(Command):
    """List leaks between training and evaluation splits."""

    name = "leaks"
    summary = (
        "list recordings that are in a training and in an evaluation split; --report checks captions and audio too"
    )
    description = """\
List the recordings that are trained on in one place and evaluated on in another. Only annotation files are
read. WavCaps is taken without what the pretraining configs exclude (--exclude). With --report FILE.md all
findings go into one page: these recordings, what published pretrained models were trained on, captions that
several recordings of a pool share, and, with --embeddings, recordings that sound nearly the same. The exit
code is 0 whether there are leaks or not."""
    epilog = """\
example:
  $ audio-relevance leaks --clotho data/clotho
  freesound:130603
      Clotho train: Greek Chat2 - (Apollonia&#39;s sPA) 18_44 05.10.wav
      Clotho validation: Greek Chat2 - (Apollonia__39_s sPA) 18_44 05.10.wav
  ...
  5 origins are on both sides"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        from datamodules.wavcaps_layout import EXCLUSIONS, FILES

        parser.add_argument("--clotho", metavar="ROOT")
        parser.add_argument("--audiocaps", metavar="ROOT")
        parser.add_argument("--wavcaps", metavar="ROOT")
        parser.add_argument("--sources", nargs="+", choices=list(FILES), default=list(FILES), help="of WavCaps")
        choices = [*EXCLUSIONS, "nothing"]
        parser.add_argument("--exclude", choices=choices, default="clotho", help="from WavCaps; default: clotho")
        parser.add_argument(
            "--config", nargs="+", default=[], metavar="NAME.yaml", help="configs whose data sets are taken too"
        )
        parser.add_argument(
            "--ids",
            nargs="+",
            default=[],
            type=Path,
            metavar="FILE.csv",
            help="csv files with a column sound_id or youtube_id, of whatever else was trained on",
        )
        parser.add_argument("--report", type=Path, metavar="FILE.md", help="write all findings into this file")
        parser.add_argument(
            "--embeddings",
            nargs="+",
            default=[],
            type=Path,
            metavar="PATH",
            help="stores of features, files of `predict`, or pools of a run, all of one model, for near duplicates",
        )
        parser.add_argument(
            "--threshold", type=float, default=0.95, help="cosine similarity of near duplicates; default: 0.95"
        )
        parser.add_argument("--most", type=int, default=20, help="entries of a list in the report; default: 20")

    def run(self, options: argparse.Namespace) -> None:
        """Print two lines for each leak, whole names that can be searched for, and the number of leaks."""
        from datamodules.leaks import find_leaks

        if options.report is None and options.embeddings:
            options.refuse("--embeddings goes with --report FILE.md, where near duplicates are written")
        if options.most < 1 or not -1 <= options.threshold <= 1:
            options.refuse("--most must be at least 1, --threshold a cosine similarity, from -1 to 1")
        parts = _parts(options)
        if not parts and not options.embeddings:
            options.refuse("give the root of at least one data set")
        if options.report is not None:
            _report(parts, options)
            return
        leaks = find_leaks([(part.label, part.data) for part in parts])
        for leak in leaks:
            print(f"{leak.origin}\n    {leak.seen}: {', '.join(leak.seen_names)}")
            print(f"    {leak.evaluated}: {', '.join(leak.evaluated_names)}")
        print(f"{len(leaks)} origins are on both sides")


def _parts(options: argparse.Namespace) -> list[Part]:
    """The data sets and lists of ids that the options name.

    Raises:
        UserError: a root is no folder, or a config or list cannot be used.
    """
    from cli.data_of_config import annotated_parts
    from common.errors import DataError
    from datamodules.audiocaps import AudioCaps
    from datamodules.clotho import Clotho
    from datamodules.origins import ListedOrigins
    from datamodules.wavcaps import WavCaps
    from retrieval.hygiene.checks import Part

    exclude = None if options.exclude == "nothing" else options.exclude
    known: dict[str, Callable[[str], AnnotatedDataModule]] = {
        "clotho": Clotho,
        "audiocaps": AudioCaps,
        "wavcaps": lambda root: WavCaps(root, options.sources, exclude),
    }
    parts = []
    for name, kind in known.items():
        if root := getattr(options, name):
            if not Path(root).expanduser().is_dir():
                raise DataError(f"{root}: no such folder; give the data set's folder as --{name}")
            data = kind(root)
            parts.append(Part(data.label, data))
    parts += [Part(*part) for config in options.config for part in annotated_parts(config)]
    return [*parts, *(Part(path.stem, ListedOrigins(path)) for path in options.ids)]


def _report(parts: list[Part], options: argparse.Namespace) -> None:
    """Check everything, write the report, and print what it comes to."""
    from common.atomic_files import check_not_read, check_writable, replacing
    from lightning_modules.pairs.training_data import PUBLISHED
    from retrieval.hygiene.checks import check_hygiene
    from retrieval.hygiene.embedded import read_embedded
    from retrieval.hygiene.report import hygiene_report

    check_writable(options.report)
    check_not_read(options.report, [*options.ids, *options.embeddings, *map(Path, options.config)])
    embedded = [each for path in options.embeddings for each in read_embedded(path.expanduser())]
    found = check_hygiene(parts, embedded, PUBLISHED, options.threshold)
    with replacing(options.report) as beside:
        beside.write_text(hygiene_report(found, options.most), encoding="utf-8")
    if parts:
        print(f"{len(found.leaks)} origins are on both sides")
    for pool in found.captions:
        print(
            f"{pool.split}: {pool.found.shared} of {pool.found.queries} queries share their text with another "
            f"recording; best R@1 {100 * pool.found.best_recall[1]:.2f} %"
        )
    for each in found.compared:
        print(f"{' and '.join(each.sides)}: {each.found.found} pairs sound nearly the same")
    print(f"report: {options.report}")
