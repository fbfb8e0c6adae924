"""Tables of word vectors: word2vec and GloVe files, or an array beside a list of words."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from filelock import FileLock

from common.atomic_files import replacing
from common.cache_dir import default_cache_dir
from common.errors import ModelError
from common.pretrained import PACKAGE, local_folder
from common.text import cause_of

KINDS = ".bin (word2vec), .txt or .vec (word2vec or GloVe), or a folder with one .npy and its words"
Vectors = npt.NDArray[np.float32]


class WordTable(NamedTuple):
    """Words and their vectors.

    Attributes:
        rows: row of each word; the earlier a word, the more frequent it is in most published tables.
        vectors: (N, D) float32, memory-mapped.
    """

    rows: dict[str, int]
    vectors: Vectors


def read_table(name: str) -> WordTable:
    """The table that a config names.

    Args:
        name: a .bin file of word2vec, a .txt or .vec file of word2vec or GloVe, or a folder (or `package:NAME/FOLDER`)
            with one .npy (N, D) and, in its order, the words: a .txt with one a line or a .parquet with one a row.
            A file is parsed once; what is read of it is kept in the cache folder.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = Path(name).expanduser()
    if name.startswith(PACKAGE) or path.is_dir():
        folder = local_folder(name)
        assert folder is not None
        return _read_folder(folder)
    if not path.is_file() or path.suffix not in (".bin", ".txt", ".vec"):
        what = f"'{path.suffix}' is no table" if path.is_file() else "no such file"
        raise ModelError(f"word vectors {name}: {what}; give {KINDS}")
    status = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:24]
    kept = default_cache_dir() / "word_vectors" / key
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / "lock"):
        if not (kept / "words.txt").is_file():
            _parse(path, kept)
    return _read_folder(kept)


def _read_folder(folder: Path) -> WordTable:
    arrays = sorted(folder.glob("*.npy"))
    lists = sorted(file for file in folder.iterdir() if file.suffix in (".txt", ".parquet"))
    if len(arrays) != 1 or len(lists) != 1:
        raise ModelError(
            f"word vectors {folder}: holds {len(arrays)} .npy and {len(lists)} .txt or .parquet: give one of each, the "
            "vectors and their words"
        )
    try:
        vectors = np.load(arrays[0], mmap_mode="r", allow_pickle=False)
        if lists[0].suffix == ".parquet":
            words = pq.read_table(lists[0]).column(0).to_pylist()
        else:
            words = lists[0].read_text(encoding="utf-8").split("\n")
            words = words[:-1] if words[-1] == "" else words
    except (OSError, ValueError) as error:  # Arrow's are among them
        raise ModelError(f"word vectors {folder}: cannot be read ({cause_of(error)})") from error
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(words) != len(vectors):
        raise ModelError(
            f"word vectors {arrays[0]}: {vectors.dtype} of shape {vectors.shape} for {len(words)} words: give float32 "
            "(words, D)"
        )
    rows: dict[str, int] = {}
    for row, word in enumerate(words):
        rows.setdefault(word, row)
    return WordTable(rows, vectors)


def _parse(path: Path, folder: Path) -> None:
    """Write the words and vectors of a file into a folder, the words last."""
    words: list[str] = []
    try:
        with path.open("rb") as file, replacing(folder / "vectors.npy") as beside:
            entries = _binary(file) if path.suffix == ".bin" else _lines(file)
            first = next(entries)
            with beside.open("wb") as out:
                out.write(bytes(128))  # the header, when the count is known
                for word, vector in _chain(first, entries):
                    if vector.shape != first[1].shape or not np.isfinite(vector).all():
                        raise ValueError(f"the vector of word {len(words) + 1} ('{word}') is damaged")
                    words.append(word)
                    out.write(vector.tobytes())
                out.seek(0)
                out.write(_npy_header(len(words), len(first[1])))
    except (ValueError, StopIteration, UnicodeDecodeError) as error:
        cause = str(error) or "it is empty"
        raise ModelError(f"word vectors {path}: {cause}; give {KINDS}, as it was published") from error
    with replacing(folder / "words.txt") as beside:
        beside.write_text("\n".join(words) + "\n", encoding="utf-8")


def _chain(first: tuple[str, Vectors], rest: Iterator[tuple[str, Vectors]]) -> Iterator[tuple[str, Vectors]]:
    yield first
    yield from rest


def _binary(file: IO[bytes]) -> Iterator[tuple[str, Vectors]]:
    """Words and vectors of word2vec's binary format: a line with their number and size, then word, space, floats."""
    header = file.readline(64).split()
    if len(header) != 2 or not all(part.isdigit() for part in header):
        raise ValueError("does not begin with the number of words and their size, as a .bin of word2vec does")
    count, dim = map(int, header)
    for number in range(count):
        word = bytearray()
        while (sign := file.read(1)) != b" ":
            if not sign or len(word) > 1000:
                raise ValueError(f"ends, or is damaged, at word {number + 1} of {count}")
            word += sign
        data = file.read(4 * dim)
        if len(data) < 4 * dim:
            raise ValueError(f"ends within word {number + 1} of {count}")
        yield _word(word.lstrip(b"\n")), np.frombuffer(data, "<f4")


def _lines(file: IO[bytes]) -> Iterator[tuple[str, Vectors]]:
    """Words and vectors of a text file, a line each; a first line of two numbers is a header."""
    dim = None
    for number, line in enumerate(file, 1):
        parts = line.rstrip().split(b" ")
        if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
            dim = int(parts[1])
            continue
        dim = len(parts) - 1 if dim is None else dim
        try:
            vector = np.array(parts[-dim:], dtype=np.float32)
        except ValueError as error:
            raise ValueError(f"line {number} is not a word and {dim} numbers") from error
        if len(parts) <= dim or not dim:
            raise ValueError(f"line {number} is not a word and {dim} numbers")
        yield _word(b" ".join(parts[:-dim])), vector  # a few words of GloVe hold spaces


def _word(raw: bytes | bytearray) -> str:
    return raw.decode("utf-8", "replace").replace("\n", " ")


def _npy_header(count: int, dim: int) -> bytes:
    facts = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {dim}), }}"
    return b"\x93NUMPY\x01\x00\x76\x00" + facts.ljust(117).encode() + b"\n"  # 128 bytes
