"""Tables of rows for texts: computed once, resumed, refused."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from common.disk_cache import cached_table
from common.errors import CacheError

QUIET: dict[str, Any] = {"progress": False, "task": "counting", "what": "rows"}
TEXTS = [f"sound number {i} {'again ' * (i % 7)}" for i in range(40)]


class Letters:
    """An encoder: how often each of five letters comes; stops, as if the process were killed, after so many texts."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.seen: list[str] = []
        self.stop_after = stop_after

    def __call__(self, texts: list[str]) -> npt.NDArray[np.floating]:
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += texts
        return np.array([[text.count(letter) for letter in "aeiou"] for text in texts], dtype=np.float64)


def left_in(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()} - {".lock"}


def test_rows_are_those_of_the_texts(tmp_path: Path) -> None:
    texts = [*TEXTS, "again", TEXTS[3], "again"]
    encode = Letters()
    table = cached_table(texts, encode, "letters", folder=tmp_path, dtype="float16", chunk=7, **QUIET)
    assert isinstance(table, np.memmap)
    assert (table.dtype, table.shape) == (np.float16, (43, 5))
    assert not table.flags.writeable
    np.testing.assert_array_equal(table, Letters()(texts))
    assert sorted(encode.seen) == sorted(set(texts))
    assert [len(text) for text in encode.seen] == sorted(map(len, encode.seen), reverse=True)
    assert left_in(tmp_path) == {".npy"}

    def never(texts: list[str]) -> npt.NDArray[np.floating]:
        raise AssertionError("encoded again")

    again = cached_table(texts, never, "letters", folder=tmp_path, dtype="float16", **QUIET)
    np.testing.assert_array_equal(again, table)


def test_a_killed_encoding_continues_with_chunks_of_another_size(tmp_path: Path) -> None:
    killed, after = Letters(stop_after=12), Letters()
    with pytest.raises(KeyboardInterrupt):
        cached_table(TEXTS, killed, "letters", folder=tmp_path, chunk=6, **QUIET)
    assert left_in(tmp_path) == {".encoded", ".done", ".whole"}
    table = cached_table(TEXTS, after, "letters", folder=tmp_path, chunk=17, **QUIET)
    assert len(killed.seen) == 12
    assert sorted(killed.seen + after.seen) == sorted(TEXTS)
    np.testing.assert_array_equal(table, Letters()(TEXTS))
    assert left_in(tmp_path) == {".npy"}


def test_a_count_lost_in_a_crash_begins_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_table(TEXTS, Letters(stop_after=12), "letters", folder=tmp_path, chunk=6, **QUIET)
    next(tmp_path.glob("*.done")).write_text("")
    table = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    np.testing.assert_array_equal(table, Letters()(TEXTS))


def test_rows_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    def too_large(texts: list[str]) -> npt.NDArray[np.floating]:
        return np.full((len(texts), 2), 1e6)

    cached_table(["a"], too_large, "large", folder=tmp_path, **QUIET)
    with pytest.raises(CacheError, match="NaN or infinite rows"):
        cached_table(["a"], too_large, "large", folder=tmp_path, dtype="float16", **QUIET)


def test_other_encoders_have_other_tables(tmp_path: Path) -> None:
    cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    doubled = cached_table(TEXTS, lambda texts: 2 * Letters()(texts), "doubled", folder=tmp_path, **QUIET)
    np.testing.assert_array_equal(doubled, 2 * Letters()(TEXTS))


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    table: Any = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    Path(table.filename).write_bytes(b"")
    with pytest.raises(CacheError, match=r"is damaged .* delete it to have it made again"):
        cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)


@pytest.mark.parametrize("place", [100, 128, 500, -1])
def test_a_changed_byte_is_noticed(tmp_path: Path, place: int) -> None:
    table: Any = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    path = Path(table.filename)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CacheError, match=rf"{path.name}: is damaged \(.*\); delete it to have it made again"):
        cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    path.unlink()
    again = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    np.testing.assert_array_equal(again, Letters()(TEXTS))


@pytest.mark.parametrize("bytes_", [1, 31, 33])
def test_a_cut_off_table_is_noticed_and_one_of_an_earlier_version_is_read(tmp_path: Path, bytes_: int) -> None:
    table: Any = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    path = Path(table.filename)
    content = path.read_bytes()
    path.write_bytes(content[:-bytes_])
    with pytest.raises(CacheError, match="is damaged"):
        cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    path.write_bytes(content[:-32])  # version 0.1.0 wrote no checksum
    earlier = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    np.testing.assert_array_equal(earlier, Letters()(TEXTS))


def test_a_former_count_without_its_rows_counts_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_table(TEXTS, Letters(stop_after=12), "letters", folder=tmp_path, chunk=6, **QUIET)
    next(tmp_path.glob("*.encoded")).unlink()

    def dies(texts: list[str]) -> npt.NDArray[np.floating]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_table(TEXTS, dies, "letters", folder=tmp_path, **QUIET)
    table = cached_table(TEXTS, Letters(), "letters", folder=tmp_path, **QUIET)
    np.testing.assert_array_equal(table, Letters()(TEXTS))


def test_room_is_reserved_before_hours_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(handle: int, offset: int, size: int) -> None:
        asked.append(size)
        if len(asked) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    letters = Letters()
    message = "rows cannot be written there .No space left on device.; make room, or set AUDIO_RELEVANCE_CACHE"
    with pytest.raises(CacheError, match=message):
        cached_table(TEXTS, letters, "letters", folder=tmp_path, chunk=6, **QUIET)
    assert len(letters.seen) == 6  # the first chunk only, which tells how wide rows are
    width = len(letters(["a"])[0])
    assert asked[0] + asked[1] >= 4 * width * (len(set(TEXTS)) + len(TEXTS))


def test_a_file_instead_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="file/tables: rows cannot be written there"):
        cached_table(TEXTS, Letters(), "letters", folder=tmp_path / "file" / "tables", **QUIET)
