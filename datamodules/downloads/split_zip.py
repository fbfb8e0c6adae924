"""A zip that was cut into `name.z01`, `name.z02`, ..., `name.zip`, read as the single one it was.

Python's zipfile reads no split archives. Their bytes follow each other without a gap; only the table of contents at the
end counts each member's place from the beginning of its part (PKWARE, APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and
4.5.3). So the parts are presented as one file whose end is a new table of contents, which takes some megabytes of
memory and nothing on the disk.
"""

import bisect
import io
import itertools
import re
import struct
import zipfile
from pathlib import Path

from datamodules.file_views import View

MAX16, MAX32 = 0xFFFF, 0xFFFFFFFF  # "see the zip64 record"
ENTRY = struct.Struct("<4s6H3L5H2L")  # a member in the table of contents
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")  # says where END64 is
ZIP64 = 1  # kind of a member's extra field that holds its large numbers


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip file, whole or split; of a split one `path` is the last part, `name.zip`.

    Raises:
        zipfile.BadZipFile: not a zip file, or its parts are not all there.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END.size - MAX16 - LOCATOR.size))
        tail = file.read()
    end_at = tail.rfind(b"PK\5\6")
    if end_at < 0 or len(tail) - end_at < END.size:
        raise zipfile.BadZipFile("it is not a zip file, or not the last part of one")
    _, last, part, _, members, size, offset, _ = END.unpack_from(tail, end_at)
    count, end64 = last + 1, None
    if end_at >= LOCATOR.size and tail[end_at - LOCATOR.size :].startswith(b"PK\6\7"):
        _, part64, offset64, count = LOCATOR.unpack_from(tail, end_at - LOCATOR.size)
        end64 = part64, offset64
    if count <= 1:
        return zipfile.ZipFile(path)

    joined = Joined(_parts(path, count))
    if end64 is not None:
        record = joined.take(*end64, END64.size)
        if len(record) < END64.size or not record.startswith(b"PK\6\6"):
            raise zipfile.BadZipFile("its zip64 record is not where it should be; is each part whole?")
        part, _, members, size, offset = END64.unpack(record)[5:]
    if part >= count:
        raise zipfile.BadZipFile(f"its contents should lie in part {part}, but it has {count}")
    table = _as_one(joined.take(part, offset, size), members, joined.starts)
    joined.replace_end(joined.starts[part] + offset, table, members)
    return zipfile.ZipFile(io.BufferedReader(joined, 1 << 16))


def _parts(path: Path, count: int) -> list[Path]:
    """The parts of a split zip in their order, the last of them `path`."""
    pattern = re.compile(re.escape(path.stem) + r"\.z(\d{2,})")
    found = {int(match[1]): part for part in path.parent.iterdir() if (match := pattern.fullmatch(part.name))}
    if missing := [number for number in range(1, count) if number not in found]:
        raise zipfile.BadZipFile(
            f"{len(missing)} of its {count} parts are missing, the first of them {path.stem}.z{missing[0]:02d}"
        )
    return [*(found[number] for number in range(1, count)), path]


def _as_one(table: bytes, members: int, starts: list[int]) -> bytes:
    """A table of contents, its places counted from the beginning of the first part instead of from that of each."""
    entries: list[bytes] = []
    at = 0
    for _ in range(members):
        if len(table) - at < ENTRY.size or not table.startswith(b"PK\1\2", at):
            raise zipfile.BadZipFile("its table of contents is damaged; is each part whole?")
        fields = list(ENTRY.unpack_from(table, at))
        names_at = at + ENTRY.size
        packed, size, name_length, extra_length, comment_length, part = fields[8:14]
        extra_at = names_at + name_length
        comment_at = extra_at + extra_length
        at = comment_at + comment_length
        large, others = _split_extra(table[extra_at:comment_at])
        numbers = io.BytesIO(large)  # only those that did not fit, in this order
        sizes = b"".join(numbers.read(8) for number in (size, packed) if number == MAX32)
        offset = int.from_bytes(numbers.read(8), "little") if fields[16] == MAX32 else fields[16]
        part = int.from_bytes(numbers.read(4), "little") if part == MAX16 else part
        if part >= len(starts):
            raise zipfile.BadZipFile(f"a member should begin in part {part}, but it has {len(starts)}")
        place = sizes + (starts[part] + offset).to_bytes(8, "little")
        extra = struct.pack("<2H", ZIP64, len(place)) + place + others
        fields[11], fields[13], fields[16] = len(extra), 0, MAX32
        entries += ENTRY.pack(*fields), table[names_at:extra_at], extra, table[comment_at:at]
    return b"".join(entries)


def _split_extra(extra: bytes) -> tuple[bytes, bytes]:
    """The zip64 field of a member's extra fields, and the others as they are."""
    large, others, at = b"", b"", 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == ZIP64:
            large = extra[at + 4 : at + 4 + length]
        else:
            others += extra[at : at + 4 + length]
        at += 4 + length
    return large, others


class Joined(View):
    """Files that follow each other, as one; only one of them is open at a time."""

    def __init__(self, paths: list[Path]) -> None:
        sizes = [path.stat().st_size for path in paths]
        super().__init__(sum(sizes))
        self.paths = paths
        self.starts = [0, *itertools.accumulate(sizes[:-1])]  # of each file, in bytes from the beginning of the first
        self._end_at, self._end = self.size, b""
        self._open: tuple[int, io.FileIO] | None = None

    def take(self, part: int, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` of a part on, fewer where the files end."""
        self.seek(self.starts[min(part, len(self.starts) - 1)] + offset)
        pieces: list[bytes] = []
        while size > 0 and (piece := self.read(min(size, 1 << 24))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def replace_end(self, at: int, table: bytes, members: int) -> None:
        """Present a table of contents and its end records instead of all bytes from `at`."""
        end64 = END64.pack(b"PK\6\6", END64.size - 12, 45, 45, 0, 0, members, members, len(table), at)
        locator = LOCATOR.pack(b"PK\6\7", 0, at + len(table), 1)
        end = END.pack(b"PK\5\6", 0, 0, MAX16, MAX16, MAX32, MAX32, 0)
        self._end_at, self._end = at, table + end64 + locator + end
        self.size = at + len(self._end)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Like `io.RawIOBase.readinto`: at most the rest of one file."""
        if self.position >= self._end_at:
            begin = self.position - self._end_at
            data = self._end[begin : begin + len(buffer)]
        else:
            number = bisect.bisect_right(self.starts, self.position) - 1
            file = self._file(number)
            file.seek(self.position - self.starts[number])
            data = file.read(min(len(buffer), self._end_at - self.position))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def _file(self, number: int) -> io.FileIO:
        if self._open is None or self._open[0] != number:
            self.close_file()
            self._open = number, io.FileIO(self.paths[number])
        return self._open[1]

    def close_file(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def close(self) -> None:
        """Close for good."""
        self.close_file()
        super().close()
