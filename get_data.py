"""Get the data: `python get_data.py clotho`, and likewise wavcaps, audiocaps, passt.

Each command may be broken off and given again: it goes on where it stopped, and does nothing where all is there.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urljoin

from datamodules import sources
from datamodules.archives import require_seven_zip, unpack
from datamodules.download import checksum_of, download, read_json
from datamodules.errors import DataError
from datamodules.wavcaps import FOLDERS

AUDIOCAPS_AUDIO = """\
AudioCaps has no audio archive: its 10 s clips are collected from YouTube, where 5 to 10 % are gone by now.
From each video `youtube_id` of the csv files take the 10 seconds from `start_time` (s) on, for instance with yt-dlp and
ffmpeg, or take over a collection you have access to. Put the files into

    {audio}/train/   {audio}/val/   {audio}/test/

under one of these names, as flac or wav: {{youtube_id}}_{{start_time}}.flac, Y{{youtube_id}}.wav, {{audiocap_id}}.wav
What is missing is left out in training, with a warning that says how much of each split is there."""


def get_clotho(root: Path, server: str, keep_archives: bool = False) -> None:
    """Clotho v2.1, into `root/clotho_audio_files/<split>/` and `root/clotho_csv_files/`."""
    require_seven_zip()

    def fetch(name: str, folder: Path, md5: str) -> Path:
        download(server + sources.CLOTHO_PATH.format(name=name), folder / name, f"md5:{md5}")
        return folder / name

    for split, files in sources.CLOTHO.items():
        fetch(f"clotho_captions_{split}.csv", root / "clotho_csv_files", files.captions)
        fetch(f"clotho_metadata_{split}.csv", root / "clotho_csv_files", files.metadata)
    for split, files in sources.CLOTHO.items():
        folder = root / "clotho_audio_files" / split
        if not holds_files(folder):
            archive = fetch(f"clotho_audio_{split}.7z", root / "archives", files.audio)
            unpack(archive, folder)
        found = sum(path.suffix == ".wav" for path in folder.iterdir())
        if found < files.recordings:
            raise DataError(
                f"{folder}: holds {found} of {files.recordings} recordings; delete it and run the command again"
            )
        if not keep_archives:
            discard([root / "archives" / f"clotho_audio_{split}.7z"])
        print(f"{folder}: {found} recordings")
    print(f"Train with: python train.py fit --config clotho_listnet.yaml --data.root {root}")


def get_wavcaps(root: Path, server: str, keep_archives: bool = False, source: tuple[str, ...] = ()) -> None:
    """WavCaps, into `root/json_files/` and `root/audio/<folder of the source>/`; all sources, or some of them."""

    def fetch(entry: dict[str, Any], path: Path) -> Path:
        sha256 = entry["lfs"]["oid"] if entry.get("lfs") else None  # small files have none
        url = server + sources.WAVCAPS_PATH.format(path=quote(entry["path"]))
        download(url, path, sha256 and f"sha256:{sha256}")
        return path

    chosen = [FOLDERS[name] for name in FOLDERS if name in source or not source]
    for folder in ["blacklist", *chosen]:
        for entry in hub_files(server, f"json_files/{folder}"):
            fetch(entry, root / "json_files" / folder / Path(entry["path"]).name)
    for folder in chosen:
        audio = root / "audio" / folder
        if not holds_files(audio):
            entries = hub_files(server, f"Zip_files/{folder}")
            print(f"{folder}: {len(entries)} files, {sum(entry['size'] for entry in entries) / 1e9:.1f} GB")
            parts = [fetch(entry, root / "archives" / folder / Path(entry["path"]).name) for entry in entries]
            whole = [part for part in parts if part.suffix == ".zip"]  # the others are its parts
            if len(whole) != 1:
                raise DataError(f"{server}: lists {len(whole)} zip files for {folder} instead of one; unpack by hand")
            unpack(whole[0], audio)
            if not keep_archives:
                discard(parts)
        print(f"{audio}: {sum(1 for _ in audio.iterdir())} recordings")


def get_audiocaps(root: Path, server: str) -> None:
    """Captions of AudioCaps v1, into `root/dataset/`, and how its audio is collected."""
    for name, sha256 in sources.AUDIOCAPS.items():
        download(server + sources.AUDIOCAPS_PATH.format(name=name), root / "dataset" / name, f"sha256:{sha256}")
    print(AUDIOCAPS_AUDIO.format(audio=root / "audio"))


def get_passt(root: Path, server: str) -> None:
    """PaSST's checkpoint, into `root/`. Its owners publish no checksum, so compare the one that is printed."""
    path = root / sources.PASST
    download(server + sources.PASST_PATH.format(name=sources.PASST), path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {checksum_of(path, 'sha256')}")


def hub_files(server: str, folder: str) -> list[dict[str, Any]]:
    """The files in a folder of WavCaps' repository: `path`, `size` in bytes, for large ones `lfs.oid`, their SHA-256.

    Raises:
        DataError: no connection, or another answer than a list of files.
    """
    url: str | None = server + sources.WAVCAPS_TREE.format(folder=folder)
    entries: list[dict[str, Any]] = []
    while url:
        page, following = read_json(url)
        try:
            entries += [entry for entry in page if entry["type"] == "file" and entry["path"] and entry["size"] >= 0]
        except (TypeError, KeyError) as error:
            raise DataError(f"{url}: the answer is not a list of files; is that the right server?") from error
        url = following and urljoin(url, following)
    if not entries:
        raise DataError(f"{server}: lists no files under {folder} of WavCaps; is that the right server?")
    return entries


def holds_files(folder: Path) -> bool:
    """Whether there is such a folder with anything in it; `unpack` gives a folder its name only when it is whole."""
    return folder.is_dir() and any(folder.iterdir())


def discard(archives: list[Path]) -> None:
    """Delete archives that are unpacked, and the two folders above them where that leaves them empty."""
    for archive in archives:
        archive.unlink(missing_ok=True)
    for folder in archives[0].parents[:2]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


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
