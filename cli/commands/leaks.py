"""`audio-relevance leaks`: recordings that are trained on in one place and evaluated on in another."""

from __future__ import annotations

import argparse

from cli.command import Command


class Leaks(Command):
    """List leaks between training and evaluation splits."""

    name = "leaks"
    summary = "list recordings that are in a training and in an evaluation split"
    description = """\
List the recordings that are trained on in one place and evaluated on in another. Only annotation files are
read. WavCaps is taken without what the pretraining configs exclude (--exclude). The exit code is 0 whether
there are leaks or not."""
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
        parser.set_defaults(refuse=parser.error)

    def run(self, options: argparse.Namespace) -> None:
        """Print two lines for each leak, whole names that can be searched for, and the number of leaks."""
        from common.errors import DataError
        from datamodules.annotated import AnnotatedDataModule
        from datamodules.audiocaps import AudioCaps
        from datamodules.clotho import Clotho
        from datamodules.leaks import find_leaks
        from datamodules.wavcaps import WavCaps

        parts: list[tuple[str, AnnotatedDataModule]] = []
        if options.clotho:
            parts.append(("Clotho", Clotho(options.clotho)))
        if options.audiocaps:
            parts.append(("AudioCaps", AudioCaps(options.audiocaps)))
        if options.wavcaps:
            exclude = None if options.exclude == "nothing" else options.exclude
            parts.append(("WavCaps", WavCaps(options.wavcaps, options.sources, exclude)))
        if not parts:
            options.refuse("give the root of at least one data set")
        try:
            leaks = find_leaks(parts)
        except DataError as error:  # it names the option by which the other commands take the root
            of = (label.lower() for label, data in parts if str(error).startswith(str(data.root)))
            raise DataError(str(error).replace("--data.root", f"--{next(of, 'data.root')}")) from error
        for leak in leaks:
            print(f"{leak.origin}\n    {leak.seen}: {', '.join(leak.seen_names)}")
            print(f"    {leak.evaluated}: {', '.join(leak.evaluated_names)}")
        print(f"{len(leaks)} origins are on both sides")
