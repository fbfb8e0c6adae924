"""Which recordings are trained on here and judged on there: `python leak_report.py --clotho ROOT --wavcaps ROOT`.

Only annotation files are read. WavCaps is taken without what the pretraining configs exclude (`--exclude`).

Exit code 0 whether there are leaks or not, 1 when a file is wrong.
"""

import argparse
import sys

from common.errors import DataError
from datamodules.annotated import AnnotatedDataModule
from datamodules.audiocaps import AudioCaps
from datamodules.clotho import Clotho
from datamodules.leaks import Leak, find_leaks
from datamodules.wavcaps import EXCLUSIONS, FILES, WavCaps


def main(arguments: list[str] | None = None) -> int:
    """Print the report; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clotho", metavar="ROOT")
    parser.add_argument("--audiocaps", metavar="ROOT")
    parser.add_argument("--wavcaps", metavar="ROOT")
    parser.add_argument("--sources", nargs="+", choices=list(FILES), default=list(FILES), help="of WavCaps")
    choices = [*EXCLUSIONS, "nothing"]
    parser.add_argument("--exclude", choices=choices, default="clotho", help="from WavCaps; default: clotho")
    options = parser.parse_args(arguments)
    parts: list[tuple[str, AnnotatedDataModule]] = []
    if options.clotho:
        parts.append(("Clotho", Clotho(options.clotho)))
    if options.audiocaps:
        parts.append(("AudioCaps", AudioCaps(options.audiocaps)))
    if options.wavcaps:
        exclude = None if options.exclude == "nothing" else options.exclude
        parts.append(("WavCaps", WavCaps(options.wavcaps, options.sources, exclude)))
    if not parts:
        parser.error("give the root of at least one data set")
    try:
        leaks = find_leaks(parts)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print_leaks(leaks)
    return 0


def print_leaks(leaks: list[Leak]) -> None:
    """Print two lines a leak, whole names that can be searched for, and the number of leaks."""
    for leak in leaks:
        print(f"{leak.origin}\n    {leak.seen}: {', '.join(leak.seen_names)}")
        print(f"    {leak.evaluated}: {', '.join(leak.evaluated_names)}")
    print(f"{len(leaks)} origins are on both sides")


if __name__ == "__main__":
    sys.exit(main())
