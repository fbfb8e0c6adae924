"""Zip archives with a few files, whole or cut into parts."""

import struct
import zipfile
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
FILES = {f"mnt/data/{name}": RNG.bytes(size) for name, size in [("a.wav", 70_000), (" b.wav", 9), ("c.FLAC", 50_000)]}
OWN = {name.rpartition("/")[2]: data for name, data in FILES.items()}


def write_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def cut(path: Path, size: int, zip64: bool = False) -> list[Path]:
    """Cut a zip file as Info-ZIP does: places in the contents are counted from the beginning of each part."""
    data = b"PK\7\x08" + path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        infos, begin = archive.infolist(), archive.start_dir + 4
    contents = b""
    at = begin
    for info in infos:
        fields = list(struct.unpack_from("<4s6H3L5H2L", data, at))
        rest = data[at + 46 : at + 46 + sum(fields[10:13])]
        at += 46 + sum(fields[10:13])
        part, offset = divmod(info.header_offset + 4, size)
        if zip64:
            place = struct.pack("<HHQQQL", 1, 28, fields[9], fields[8], offset, part)
            kind = struct.pack("<HH2s", 0x7777, 2, b"ok")
            rest = rest[: fields[10]] + kind + place + rest[fields[10] + fields[11] :]
            fields[8] = fields[9] = fields[16] = 0xFFFFFFFF
            fields[11], fields[13] = len(kind + place), 0xFFFF
        else:
            fields[13], fields[16] = part, offset
        contents += struct.pack("<4s6H3L5H2L", *fields) + rest
    part, offset = divmod(begin, size)
    body = data[:begin] + contents
    last = len(body) // size
    if zip64:
        end64_at = divmod(len(body), size)
        body += struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, last, part, len(infos), len(infos), len(contents), offset
        )
        body += struct.pack("<4sLQL", b"PK\6\7", end64_at[0], end64_at[1], last + 1)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    else:
        end = struct.pack("<4s4H2LH", b"PK\5\6", last, part, len(infos), len(infos), len(contents), offset, 0)
    parts = []
    for number in range(last + 1):
        is_last = number == last
        parts.append(path if is_last else path.with_suffix(f".z{number + 1:02d}"))
        parts[-1].write_bytes(body[number * size :] + end if is_last else body[number * size : (number + 1) * size])
    return parts
