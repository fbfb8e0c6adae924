"""Whether w64 and au files hold as many bytes as their headers say; libsndfile takes what is there."""

import os
import struct
from typing import BinaryIO

W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")  # the GUID of "riff"
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
AU = {b".snd": ">", b"dns.": "<"}
AU_UNKNOWN = 0xFFFFFFFF
"""What a program that writes into a pipe gives as an au file's length."""


def w64_is_whole(file: BinaryIO) -> bool:
    """Whether an open Sony Wave64 file ends where its data chunk does, or later."""
    size = os.fstat(file.fileno()).st_size
    at = 40  # GUID of riff, 64-bit size, GUID of wave
    while at + 24 <= size:
        file.seek(at)
        name, length = struct.unpack("<16sQ", file.read(24))  # the length counts these 24 bytes
        if name == W64_DATA:
            return bool(at + length <= size)
        at += max(length + -length % 8, 24)
    return True  # libsndfile says what is wrong


def au_is_whole(file: BinaryIO) -> bool:
    """Whether an open au file ends where its header says, or later."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    magic = file.read(4)
    start, length = struct.unpack(f"{AU[magic]}II", file.read(8))
    return bool(length in (0, AU_UNKNOWN) or start + length <= size)
