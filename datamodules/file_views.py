"""A part of a file with another beginning, presented as a file."""

import io
import os
from pathlib import Path


class FileView(io.RawIOBase):
    """`head`, then the bytes of a file from the `skip`-th on: nothing is copied, and seeking is free.

    For files whose samples are sound and whose header is not.
    """

    def __init__(self, path: Path, head: bytes, skip: int) -> None:
        super().__init__()
        self._file = io.FileIO(path)
        self._head, self._skip = head, skip
        self._size = len(head) + max(os.fstat(self._file.fileno()).st_size - skip, 0)
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes from the beginning of the head."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Like `io.RawIOBase.seek`."""
        self._at = max(offset + (0, self._at, self._size)[whence], 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Like `io.RawIOBase.readinto`, but it ends early at the end of the file only."""
        target = memoryview(buffer).cast("B")
        data = self._head[self._at : self._at + len(target)]
        target[: len(data)] = data
        count = len(data)
        self._file.seek(self._skip + max(self._at + count - len(self._head), 0))
        while count < len(target) and (read := self._file.readinto(target[count:])):
            count += read
        self._at += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
