"""The number of samples of a flac file whose header does not say it, from its last frame.

A program that writes into a pipe cannot go back to the header. Each frame counts on from the beginning and ends in a
checksum, so the last one says how many samples there are, and that the file is whole. Format: RFC 9639, sections 8
and 9.
"""

from typing import BinaryIO

HEADER = 42  # bytes of the marker and of STREAMINFO, which comes first
TAIL = 1 << 18  # bytes in which the last frame is looked for
ID3V1 = 128


def says_no_length(head: bytes) -> bool:
    """Whether the first `HEADER` bytes are those of a flac file of unknown length."""
    return len(head) == HEADER and head[:4] == b"fLaC" and not int.from_bytes(head[21:26], "big") & (1 << 36) - 1


def with_length(head: bytes, samples: int) -> bytes:
    """These bytes with a number of samples (36 bits) in its place."""
    number = int.from_bytes(head[21:26], "big") >> 36 << 36 | samples
    return head[:21] + number.to_bytes(5, "big") + head[26:]


def count_samples(file: BinaryIO, head: bytes) -> int | None:
    """Samples per channel of an open flac file; None where it does not end with a whole frame."""
    size = file.seek(0, 2)
    file.seek(max(size - TAIL, HEADER))
    tail = file.read()
    if tail[-ID3V1:].startswith(b"TAG"):
        tail = tail[:-ID3V1]
    block = int.from_bytes(head[8:10], "big")
    at = len(tail)
    while (at := max(tail.rfind(b"\xff\xf8", 0, at), tail.rfind(b"\xff\xf9", 0, at))) >= 0:
        end = _samples_before_end(tail[at : at + 17], block)
        if end is not None and _crc(tail[at:], 0x8005, 16) == 0:
            return end
    return None


def _samples_before_end(frame: bytes, block: int) -> int | None:
    """The sample behind the last of the frame that begins so; None where no frame begins so."""
    if len(frame) < 17:
        frame = frame.ljust(17, b"\0")
    size_code, rate_code = frame[2] >> 4, frame[2] & 15
    first, length = frame[4], 1
    while first & (0x80 >> length) and length < 7:
        length += 1
    extra = 0 if first < 0x80 else length - 1  # as in UTF-8
    number = first & (0x7F if extra == 0 else 0x3F >> extra)
    for byte in frame[5 : 5 + extra]:
        number = number << 6 | byte & 0x3F
    at = 5 + extra
    if size_code in (6, 7):
        count = int.from_bytes(frame[at : at + size_code - 5], "big") + 1
        at += size_code - 5
    elif size_code:
        count = 192 if size_code == 1 else 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    else:
        return None
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if _crc(frame[: at + 1], 0x07, 8):
        return None
    return number + count if frame[1] & 1 else number * block + count


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """Checksum of bytes; 0 where they end in their own."""
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
        table.append(value)
    crc, mask = 0, (1 << bits) - 1
    for byte in data:
        crc = (crc << 8 & mask) ^ table[crc >> bits - 8 ^ byte]
    return crc
