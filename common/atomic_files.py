"""Files that are either whole or not there."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import DataError
from common.text import NO_ROOM

UNFINISHED = ".*.part*"
"""Pattern of the files that `replacing` leaves where its process is killed."""


def check_writable(*paths: Path) -> None:
    """Whether files can be written: asked before the work whose results go there. Nothing stays behind.

    Raises:
        DataError: one is a folder, or the folder around it cannot be made or written to.
    """
    for path in paths:
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            with made(path.parent), tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            if path.parent.is_file():
                raise DataError(f"{path.parent}: is a file; give a folder") from error
            raise DataError(f"{path}: cannot be written ({error.strerror}); give another place") from error


def check_nothing_in(folder: Path, option: str) -> None:
    """Whether a folder that a command fills is new or empty; hidden files do not count.

    Raises:
        DataError: it holds something, is a file, or cannot be written to.
    """
    if held := sorted(path.name for path in folder.glob("[!.]*")):
        raise DataError(f"{folder}: holds something already ({held[0]}); delete it, or give {option} another folder")
    check_writable(folder / "new")


def check_not_read(path: Path, sources: Iterable[Path]) -> None:
    """Whether a result would be written over a file that it is made from.

    Raises:
        DataError: it would.
    """
    if path.resolve() in {source.resolve() for source in sources}:
        raise DataError(f"{path}: is read too, and would be written over; give another place")


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make `folder`; it, and the parents that were made with it, go again where the block leaves them empty."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for each in new:
            with contextlib.suppress(OSError):  # it is not empty
                each.rmdir()


@contextmanager
def filled_at_once(folder: Path) -> Iterator[Path]:
    """A folder to write files to, which move to `folder` when the block ends well, and are deleted when it does not.

    It lies inside `folder`, which may be a disk of its own.
    """
    with made(folder), tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as inside:
        try:
            yield Path(inside)
            for path in sorted(Path(inside).iterdir()):
                os.replace(path, folder / path.name)
        except OSError as error:
            if Path(error.filename or "").parent == Path(inside):
                error.filename = str(folder / Path(error.filename).name)
            raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, beside `path`, that replaces it when the block ends well, and is deleted when it does not.

    It keeps the ending of `path`, from which writers such as matplotlib know the format, and is of this process alone.
    Folders that are made for it are deleted with it.

    Raises:
        OSError: of `path`, where the disk is full, whichever error the writer has for that.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with made(path.parent):
        try:
            yield beside
            os.replace(beside, path)
        except Exception as error:
            if getattr(error, "filename", None) not in (None, str(beside)):
                raise  # it is of another file
            if number := no_room(error):
                raise OSError(number, os.strerror(number), str(path)) from error
            if isinstance(error, OSError):
                error.strerror = error.strerror or str(error)  # which does not say it any more with a file's name
                error.filename = str(path)
            raise
        finally:
            beside.unlink(missing_ok=True)


def no_room(error: Exception) -> int | None:
    """The number of the system's error where a disk or a quota is full, else None.

    Safetensors, tokenizers and FAISS have errors of their own, which only name it in words.
    """
    if isinstance(error, OSError) and error.errno is None and str(error).endswith(" written"):
        return errno.ENOSPC  # NumPy only counts the bytes
    known = getattr(error, "errno", None)
    return next((each for each in NO_ROOM if each == known or os.strerror(each) in str(error)), None)
