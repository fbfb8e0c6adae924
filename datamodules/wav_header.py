"""Headers of wav files and their relatives: where the samples lie, and whether all are there.

libsndfile takes a header at its word where a player does not: a program that writes into a pipe cannot know how many
samples will come, and leaves a number in their place.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

STREAM_LENGTHS = ((0x7FFFF000, 0x80000000), (0xFFFFF000, 0xFFFFFFFF))
"""Ranges of data lengths that stand for "not known": 2 and 4 GB, often less a header or a block."""

FORMS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">", b"FORM": ">"}
"""Byte order of each form: wav, wav above 4 GB, big-endian wav, aiff."""


class WavHeader(NamedTuple):
    """What a header says, and what the file has.

    Attributes:
        start: byte at which the samples begin.
        length: bytes of samples that are in the file.
        whole: whether that is as many as the header says, or as many as came where it was written before.
        head: a header that says so, to be read in place of the file's first `start` bytes; empty where the file's own
            can be read.
    """

    start: int
    length: int
    whole: bool
    head: bytes = b""


def plain_wav(head: bytes, size: int) -> bool:
    """Whether the first 44 bytes of a file of that size are a wav header as most are, with all samples behind it."""
    if head[:4] != b"RIFF" or head[12:20] != b"fmt \x10\0\0\0" or head[36:40] != b"data":
        return False
    return 0 < int.from_bytes(head[40:44], "little") <= size - 44


def read_wav_header(file: BinaryIO) -> WavHeader | None:
    """The header of an open wav, RF64, RIFX or aiff file; None where it is none of these, or has no samples."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    magic = file.read(12)[:4]
    if magic not in FORMS:
        return None
    order, samples = FORMS[magic], b"SSND" if magic == b"FORM" else b"data"
    long_length, kept, regular = None, b"", True
    for name, length, padded in _chunks(file, order):
        start = file.tell()
        if name == b"ds64" and length >= 16:
            long_length = struct.unpack("<Q", file.read(16)[8:])[0]
        elif name == b"fmt " and length < 4096:
            kept += struct.pack(f"{order}4sI", name, length) + file.read(length) + b"\0" * (length % 2)
        elif name == samples:
            claimed = long_length if magic == b"RF64" and long_length is not None else length
            there = size - start
            streamed = claimed == 0 and there > 0 and not _only_chunks(file, start, size, order)
            if streamed or (claimed > there and _is_placeholder(claimed)):
                regular = regular and not streamed
                claimed = there
            if regular or magic == b"FORM":
                return WavHeader(start, min(claimed, there), claimed <= there)
            head = kept + struct.pack(f"{order}4sI", samples, min(claimed, there, 0xFFFFFFFF - len(kept) - 12))
            form = b"RIFX" if magic == b"RIFX" else b"RIFF"
            total = struct.pack(f"{order}I", min(4 + len(head) + there, 0xFFFFFFFF))
            return WavHeader(start, min(claimed, there), claimed <= there, form + total + b"WAVE" + head)
        regular = regular and padded
    return None


def _chunks(file: BinaryIO, order: str) -> Iterator[tuple[bytes, int, bool]]:
    """Name and length of each chunk, the file being at its content, and whether the next begins where it should.

    A chunk of odd length is followed by a byte of padding, which some programs forget.
    """
    file.seek(12)
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", header)
        begin = file.tell()
        padded = True
        if length % 2:
            file.seek(begin + length)
            following = file.read(5)
            known = following[:4] in (b"data", b"SSND", b"fmt ", b"fact")
            padded = not known and not (_is_name(following[:4]) and not _is_name(following[1:5]))
        file.seek(begin)
        yield name, length, padded
        file.seek(begin + length + (length % 2 if padded else 0))


def _is_name(text: bytes) -> bool:
    return len(text) == 4 and all(0x20 <= byte < 0x7F for byte in text)


def _is_placeholder(length: int) -> bool:
    return any(low <= length <= high for low, high in STREAM_LENGTHS) or length >= 0x7FFFFFFFFFFFF000


def _only_chunks(file: BinaryIO, start: int, size: int, order: str) -> bool:
    """Whether there are chunks, and nothing else, from a byte to the end: then the samples really are none."""
    at = start
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if not _is_name(name):
            return False
        at += 8 + length + length % 2
    return at in (size, size + 1)
