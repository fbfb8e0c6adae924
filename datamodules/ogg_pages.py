"""Whether an ogg file (Vorbis, Opus) is whole: its last page says that it is the last (RFC 3533, section 6)."""

from typing import BinaryIO

LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes
LAST = 4  # flag of a page


def ends_with_last_page(file: BinaryIO) -> bool:
    """Whether the last page in an open ogg file is there to its end and marked as the last."""
    size = file.seek(0, 2)
    file.seek(max(size - 2 * LONGEST_PAGE, 0))
    tail = file.read()
    at = len(tail)
    while (at := tail.rfind(b"OggS\0", 0, at)) >= 0:
        if len(tail) < at + 27:
            return False
        lengths = tail[at + 27 : at + 27 + tail[at + 26]]
        if tail[at + 5] < 8:  # else the four letters stand in a page by chance
            complete = len(lengths) == tail[at + 26] and at + 27 + len(lengths) + sum(lengths) <= len(tail)
            return complete and bool(tail[at + 5] & LAST)
    return False
