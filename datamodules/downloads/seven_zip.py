"""What `datamodules.downloads.archives` needs of 7z archives. py7zr is an extra: only Clotho needs it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import py7zr
from py7zr.io import Py7zIO, WriterFactory


def list_members(archive: Path) -> list[py7zr.FileInfo]:
    """The entries of an archive."""
    with py7zr.SevenZipFile(archive) as file:
        members: list[py7zr.FileInfo] = file.list()
        return members


def extract(archive: Path, targets: Mapping[str, Path], done: Callable[[], object]) -> None:
    """Write the members of the given names to their files, and call `done` after each.

    py7zr itself would write each to the place its name says; so it is given the files.
    """
    with py7zr.SevenZipFile(archive) as file:
        file.extract(targets=list(targets), factory=Files({path.name: path for path in targets.values()}, done))


class Files(WriterFactory):
    """Opens the file that belongs to a member.

    Args:
        paths: by the last part of the member's name.
        done: called when a file is complete.
    """

    def __init__(self, paths: Mapping[str, Path], done: Callable[[], object]) -> None:
        self.paths = paths
        self.done = done

    def create(self, filename: str) -> Py7zIO:
        """Like `WriterFactory.create`."""
        return File(self.paths[Path(filename).name], self.done)


class File(Py7zIO):
    """A file on the disk, in the form in which py7zr writes."""

    def __init__(self, path: Path, done: Callable[[], object]) -> None:
        self.file = path.open("w+b")
        self.done = done

    def write(self, data: bytes | bytearray) -> int:
        """Like the method of a file."""
        return self.file.write(data)

    def read(self, size: int | None = None) -> bytes:
        """Like the method of a file."""
        return self.file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Like the method of a file."""
        return self.file.seek(offset, whence)

    def flush(self) -> None:
        """Like the method of a file."""
        self.file.flush()

    def size(self) -> int:
        """Bytes written so far."""
        self.file.flush()
        return Path(self.file.name).stat().st_size

    def close(self) -> None:
        """The member is complete."""
        self.file.close()
        self.done()
