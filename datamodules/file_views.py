"""Several pieces of files, or a file with another beginning, presented as one file: nothing is copied."""

import io
import os
from pathlib import Path


class View(io.RawIOBase):
    """What can be read and sought; a subclass says in `readinto` which bytes there are at `position`.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes from the beginning."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Like `io.RawIOBase.seek`; a place before the beginning is the beginning."""
        self.position = max(offset + (0, self.position, self.size)[whence], 0)
        return self.position


class FileView(View):
    """`head`, then the bytes of a file from the `skip`-th on: for sound samples behind a wrong header."""

    def __init__(self, path: Path, head: bytes, skip: int) -> None:
        self._file = io.FileIO(path)
        self._head, self._skip = head, skip
        super().__init__(len(head) + max(os.fstat(self._file.fileno()).st_size - skip, 0))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Like `io.RawIOBase.readinto`, but it ends early at the end of the file only."""
        target = memoryview(buffer).cast("B")
        data = self._head[self.position : self.position + len(target)]
        target[: len(data)] = data
        count = len(data)
        self._file.seek(self._skip + max(self.position + count - len(self._head), 0))
        while count < len(target) and (read := self._file.readinto(target[count:])):
            count += read
        self.position += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
