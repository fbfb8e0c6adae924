"""Get the data: `python get_data.py clotho`, and likewise wavcaps, audiocaps, passt.

Each command may be broken off and given again: it goes on where it stopped, and does nothing where all is there.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from common.errors import DataError
from datamodules.downloads import sources
from datamodules.downloads.datasets import get_audiocaps, get_clotho, get_passt, get_wavcaps
from datamodules.wavcaps import FOLDERS


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error in one line and leave with exit code 1."""
        self.exit(1, f"error: {' '.join(message.split())}; see {self.prog} --help\n")


def build_parser() -> Parser:
    """The command line: one command a data set."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="{clotho,wavcaps,audiocaps,passt}")

    def add(name: str, get: Callable[..., None], root: str, server: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=get.__doc__, description=get.__doc__)
        command.set_defaults(get=get)
        command.add_argument("--root", type=Path, default=Path(root), help="where to (default: %(default)s)")
        command.add_argument("--mirror", dest="server", default=server, metavar="URL", help="instead of %(default)s")
        return command

    clotho = add("clotho", get_clotho, "data/clotho", sources.ZENODO)
    wavcaps = add("wavcaps", get_wavcaps, "data/wavcaps", sources.HUGGING_FACE)
    add("audiocaps", get_audiocaps, "data/audiocaps", sources.GITHUB_RAW)
    add("passt", get_passt, "weights", sources.GITHUB)
    for command in (clotho, wavcaps):
        command.add_argument("--keep_archives", action="store_true", help="keep the archives after unpacking")
    wavcaps.add_argument("--source", nargs="+", choices=list(FOLDERS), default=(), help="only these (default: all)")
    return parser


def main(args: list[str] | None = None) -> int:
    """Run a command; what goes wrong ends in one line on stderr and exit code 1."""
    options = vars(build_parser().parse_args(args))
    get = options.pop("get")
    options["root"] = options["root"].expanduser()
    options["server"] = options["server"].rstrip("/")
    try:
        if not options["server"].startswith(("http://", "https://")):
            raise DataError(f"--mirror {options['server']}: must begin with http:// or https://")
        get(**options)
    except DataError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}; give another folder with --root", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: broken off; the same command goes on from here", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
