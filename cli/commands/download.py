"""`audio-relevance download`: data sets and weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command
from common.errors import DataError


class Download(Command):
    """Download a data set or weights."""

    name = "download"
    summary = "download Clotho, WavCaps, AudioCaps' captions, or PaSST's weights"
    description = """\
Download a data set or weights. A command that was interrupted can be given again: it continues where it
stopped, and does nothing where everything is there."""
    epilog = """\
example:
  $ audio-relevance download audiocaps --root data/audiocaps
  AudioCaps has no audio archive: its 10 s clips are collected from YouTube, where 5 to 10 % are gone by now.
  ..."""
    interrupted = "interrupted; the same command continues from here"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """One subcommand for each source."""
        from common.pretrained import GITHUB_SERVER, PASST, cached_path
        from datamodules.downloads import datasets, sources
        from datamodules.wavcaps_layout import FOLDERS

        commands = parser.add_subparsers(required=True, metavar="{clotho,wavcaps,audiocaps,passt}")
        for name, get, root, server in (
            ("clotho", datasets.get_clotho, "data/clotho", sources.ZENODO),
            ("wavcaps", datasets.get_wavcaps, "data/wavcaps", sources.HUGGING_FACE),
            ("audiocaps", datasets.get_audiocaps, "data/audiocaps", sources.GITHUB_RAW),
            ("passt", datasets.get_passt, str(cached_path(PASST).parent), GITHUB_SERVER),
        ):
            command = commands.add_parser(name, help=get.__doc__, description=get.__doc__)
            command.set_defaults(get=get)
            command.add_argument("--root", type=Path, default=Path(root), help="where to (default: %(default)s)")
            command.add_argument(
                "--mirror", dest="server", default=server, metavar="URL", help="instead of %(default)s"
            )
            if name in ("clotho", "wavcaps"):
                command.add_argument("--keep_archives", action="store_true", help="keep the archives after unpacking")
            if name == "audiocaps":
                command.add_argument("--subset", choices=["oncescu2021"], help="also the lists of a paper's subset")
            if name == "wavcaps":
                command.add_argument(
                    "--source", nargs="+", choices=list(FOLDERS), default=(), help="only these (default: all)"
                )

    def run(self, options: argparse.Namespace) -> None:
        """Download it."""
        arguments = vars(options)
        get = arguments.pop("get")
        del arguments["refuse"]  # of every command
        arguments["root"] = arguments["root"].expanduser()
        arguments["server"] = arguments["server"].rstrip("/")
        if not arguments["server"].startswith(("http://", "https://")):
            raise DataError(f"--mirror {arguments['server']}: must begin with http:// or https://")
        get(**arguments)
