"""The frames of an mp3 file, counted where no header says how many there are.

Without a Xing or Info header the length that a decoder reports is a guess from the size of the file and the bits of its
first frames: of a file with a variable rate it is wrong by a factor. Each frame says how long it is, so they can be
counted without decoding. Format: ISO 11172-3, section 2.4.1.3; the header of a variable rate by its writers' usage.
"""

from typing import BinaryIO, NamedTuple

BIT_RATES = {  # kbit/s, by (MPEG 1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by version
SAME = 0xFFFE0C00  # bits of a frame's header that all frames of a file share: sync, version, layer, rate
TAGS = (b"TAG", b"APETAGEX", b"LYRICS")
WARM_UP = 12  # frames before a crop: their bits reach into its first ones, as does the overlap of their windows


class Frames(NamedTuple):
    """Where each frame begins, in bytes; samples a frame; whether the last one is there to its end."""

    starts: list[int]
    samples: int
    end: int
    whole: bool


def id3_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that a file begins with, from its first 10 bytes; 0 where there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 10 + size + (10 if head[5] & 0x10 else 0)


def begin_of_audio(file: BinaryIO) -> int:
    """The byte behind the ID3v2 tags of an open file."""
    at = 0
    file.seek(0)
    while length := id3_length(file.read(10)):
        at += length
        file.seek(at)
    return at


def frame_length(header: int) -> tuple[int, int] | None:
    """Bytes and samples of the frame that begins with this 32-bit word; None where none does.

    >>> frame_length(0xFFFB9064)  # MPEG 1, layer 3, 128 kbit/s, 44.1 kHz
    (417, 1152)
    """
    if header >> 21 != 0x7FF:
        return None
    version, layer, bits, rate = header >> 19 & 3, 4 - (header >> 17 & 3), header >> 12 & 15, header >> 10 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    first = version == 3
    bit_rate = 1000 * BIT_RATES[first, layer][bits]
    padding = header >> 9 & 1
    if layer == 1:
        return (12 * bit_rate // RATES[version][rate] + padding) * 4, 384
    samples = 576 if layer == 3 and not first else 1152
    return samples // 8 * bit_rate // RATES[version][rate] + padding, samples


def says_length(file: BinaryIO, begin: int) -> bool | None:
    """Whether the first frame of an open mp3 file is a header with the number of frames; None where no frame is there.

    (VBRI headers are not read by libmpg123, so they count as none.)
    """
    file.seek(begin)
    start = file.read(4096)
    found = _first_frame(start, 0)
    if found is None:
        return None
    frame = start[found : found + 256]
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    return at > 0 and len(frame) > at + 7 and bool(frame[at + 7] & 1)


def find_frames(data: bytes, begin: int) -> Frames | None:
    """All frames of an mp3 file's bytes from `begin` on; None where there is none."""
    at = _first_frame(data, begin)
    if at is None:
        return None
    first = int.from_bytes(data[at : at + 4], "big")
    sizes: dict[int, int] = {}
    starts: list[int] = []
    end, size = at, len(data)
    found = frame_length(first)
    assert found is not None
    while at + 4 <= size:
        header = int.from_bytes(data[at : at + 4], "big")
        length = sizes.get(header)
        if length is None:
            other = frame_length(header) if (header ^ first) & SAME == 0 else None
            if other is None:
                if data[at : at + 8].startswith(TAGS):
                    break
                following = _first_frame(data, at + 1, first)
                if following is None:
                    break
                at = following
                continue
            length = sizes[header] = other[0]
        if at + length > size:
            return Frames(starts, found[1], end, whole=False)
        starts.append(at)
        at += length
        end = at
    return Frames(starts, found[1], end, whole=True)


def with_count(data: bytes, frames: Frames, begin: int, count: int) -> bytes:
    """An mp3 file of `count` frames from the `begin`-th on, behind a Xing header that says how many they are."""
    start = frames.starts[begin]
    last = begin + count
    end = frames.starts[last] if last < len(frames.starts) else frames.end
    header = int.from_bytes(data[start : start + 4], "big") | 1 << 16  # without a checksum
    found = frame_length(header)
    assert found is not None
    side = _side_info(header)
    bits = header >> 12 & 15
    while found[0] < 4 + side + 12:  # of a frame too short to hold it, a longer one
        bits += 1
        found = frame_length(header & ~(15 << 12) | bits << 12)
        assert found is not None
    header = header & ~(15 << 12) | bits << 12
    xing = header.to_bytes(4, "big") + bytes(side) + b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return xing.ljust(found[0], b"\0") + data[start:end]


def _side_info(header: int) -> int:
    """Bytes of what a layer 3 frame says of its bits, behind its header."""
    mono = header >> 6 & 3 == 3
    if header >> 19 & 3 == 3:
        return 17 if mono else 32
    return 9 if mono else 17


def _first_frame(data: bytes, begin: int, like: int | None = None) -> int | None:
    """Where the first frame begins that is followed by one of its kind, or by the end; None where there is none."""
    at = begin
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        header = int.from_bytes(data[at : at + 4], "big")
        found = frame_length(header) if like is None or (header ^ like) & SAME == 0 else None
        if found is not None:
            following = data[at + found[0] : at + found[0] + 4]
            if len(following) < 4 or (int.from_bytes(following, "big") ^ header) & SAME == 0:
                return at
        at += 1
    return None
