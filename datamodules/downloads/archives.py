"""Unpack the recordings of a zip, split zip or 7z archive into one folder, all of them or none.

zipfile and py7zr decompress. Our part is what neither does: to check every member before the first byte is written, to
continue after an interruption, and to give the folder its name only when it is whole.
"""

import importlib.util
import os
import re
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from rich.progress import MofNCompleteColumn

from common.errors import DataError
from common.http import progress_bar
from datamodules.downloads.split_zip import open_zip

AUDIO_ENDINGS = (".wav", ".flac")
Targets = dict[str, Path]  # member name -> file to write


class Member(NamedTuple):
    """An entry of an archive: its name as written there, its size in bytes unpacked, what it is."""

    name: str
    size: int
    kind: Literal["file", "folder", "other"]


def unpack(archive: Path, folder: Path, endings: Sequence[str] = AUDIO_ENDINGS) -> int:
    """Unpack the files of an archive that have one of `endings` into `folder`, whatever folders they are in there.

    Files are written to `folder` + `.part`, which is renamed at the end: a folder that has its name is whole, and is
    left alone. After an interruption those already written are kept.

    Args:
        archive: `.7z` (needs py7zr), `.zip`, or the last part, `name.zip`, of a split zip beside the others.
        folder: where to; made, unless it is there and not empty.
        endings: in lower case, with the dot.

    Returns:
        How many files were in the archive; 0 if `folder` was there.

    Raises:
        DataError: not an archive, or damaged; a part of it is missing; a member that would lie outside of `folder` or
            is a link or device; two of the same name; too little room on the disk. Nothing is written in these cases,
            unless the damage is found only in unpacking.
    """
    if holds_files(folder):
        return 0
    beside = folder.with_name(folder.name + ".part")
    with _one_line(archive):
        members, extract = (_seven_zip if archive.suffix.lower() == ".7z" else _zip)(archive)
        _refuse_harmful(archive, members)
        files = [member for member in members if member.kind == "file" and member.name.lower().endswith(tuple(endings))]
        if not files:
            raise DataError(f"{archive}: holds no {' or '.join(endings)} files; is it the right archive?")
        _refuse_repeated(archive, files)
        sizes = {member.name: member.size for member in files}
        targets = {name: beside / PurePosixPath(name).name for name in sizes}
        rest = {
            name: path for name, path in targets.items() if not path.is_file() or path.stat().st_size != sizes[name]
        }
        _refuse_too_large(archive, sum(sizes[name] for name in rest), folder)
        beside.mkdir(parents=True, exist_ok=True)
        with progress_bar(MofNCompleteColumn()) as progress:
            task = progress.add_task(
                f"unpacking {archive.name}", total=len(targets), completed=len(targets) - len(rest)
            )
            if rest:
                extract(rest, lambda: progress.advance(task))
        os.replace(beside, folder)
    return len(targets)


def holds_files(folder: Path) -> bool:
    """Whether there is such a folder with anything in it; `unpack` gives a folder its name only when it is whole."""
    return folder.is_dir() and any(folder.iterdir())


def check_name(name: str) -> str:
    r"""What is wrong with a member's name, empty if it stays inside the folder it is unpacked into.

    >>> check_name("development/dog.wav"), check_name("../dog.wav"), check_name("C:\\dog.wav")
    ('', "goes up with '..'", 'begins with a drive letter')
    """
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name:
        return "is empty or holds a zero byte"
    if not parts[0]:
        return "is absolute"
    if ".." in parts:
        return "goes up with '..'"
    if any(re.match("[A-Za-z]:", part) for part in parts):
        return "begins with a drive letter"
    return "holds a backslash" if "\\" in name else ""


def _refuse_harmful(archive: Path, members: Sequence[Member]) -> None:
    for member in members:
        fault = check_name(member.name) or ("is a link or a device" if member.kind == "other" else "")
        if fault:
            raise DataError(
                f"{archive}: its member {member.name!r} {fault}; nothing was unpacked, get the archive from its source"
            )


def _refuse_repeated(archive: Path, files: Sequence[Member]) -> None:
    name, count = Counter(PurePosixPath(member.name).name for member in files).most_common(1)[0]
    if count > 1:
        raise DataError(f"{archive}: holds {count} files called {name!r}; unpack it by hand")


def _refuse_too_large(archive: Path, size: int, folder: Path) -> None:
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise DataError(
            f"{archive}: unpacks to {size / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free in {there}; "
            "make room or give another folder"
        )


Extract = Callable[[Targets, Callable[[], object]], None]
"""Writes the members of the given names to their files and calls the second argument after each."""


def _zip(archive: Path) -> tuple[list[Member], Extract]:
    file = open_zip(archive)
    infos = {info.filename: info for info in file.infolist()}
    if locked := [name for name, info in infos.items() if info.flag_bits & 1]:
        raise DataError(f"{archive}: {locked[0]!r} is encrypted; unpack it by hand")

    def extract(targets: Targets, done: Callable[[], object]) -> None:
        # In the order in which they lie in the archive, which a disk reads fastest.
        with file:
            for name in sorted(targets, key=lambda name: infos[name].header_offset):
                with file.open(name) as source, targets[name].open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                done()

    return [Member(info.filename, info.file_size, _zip_kind(info)) for info in file.infolist()], extract


def _zip_kind(info: zipfile.ZipInfo) -> Literal["file", "folder", "other"]:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 in archives of systems without such a thing
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "other"
    return "folder" if info.is_dir() else "file"


def _seven_zip(archive: Path) -> tuple[list[Member], Extract]:
    require_seven_zip()
    from datamodules.downloads import seven_zip

    members = [
        Member(info.filename, info.uncompressed, "folder" if info.is_directory else "file" if info.is_file else "other")
        for info in seven_zip.list_members(archive)
    ]
    return members, lambda targets, done: seven_zip.extract(archive, targets, done)


def require_seven_zip() -> None:
    """Make sure that 7z archives can be unpacked.

    Raises:
        DataError: py7zr is not installed.
    """
    if importlib.util.find_spec("py7zr") is None:
        raise DataError("py7zr, which unpacks 7z archives, is not installed; run pip install -e '.[data]'")


@contextmanager
def _one_line(archive: Path) -> Iterator[None]:
    """Whatever goes wrong, as one line: the libraries raise errors of all kinds over a damaged archive."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{archive}: {error.filename} is not there; run the command again") from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked ({error.strerror or error}); make room or fix it") from error
    except Exception as error:
        what = str(error) or type(error).__name__
        raise DataError(f"{archive}: cannot be unpacked ({what}); delete it and run the command again") from error
