"""Files that are replaced as a whole or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from common.atomic_files import check_not_read, check_writable, replacing
from common.errors import DataError
from common.text import refused_by_system


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "results.csv"
    with replacing(target) as path:
        path.write_text("first")
        assert (path.parent, path.suffix, target.exists()) == (target.parent, ".csv", False)

    def fail(name: str) -> None:
        with replacing(target.with_name(name)) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    for name in ("results.csv", "other.csv"):
        with pytest.raises(KeyboardInterrupt):
            fail(name)
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["results.csv"]
    with replacing(target) as path:
        path.write_text("second")
    assert target.read_text() == "second"
    assert os.listdir(target.parent) == ["results.csv"]


def test_a_place_is_checked_before_the_work_and_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deeper" / "file.npz")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text("mine")
    check_writable(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "dir.npz").mkdir()
    with pytest.raises(DataError, match=r"dir\.npz: cannot be written \(Is a directory\); give another place$"):
        check_writable(tmp_path / "dir.npz")
    with pytest.raises(DataError, match=r"/file: is a file; give a folder$"):
        check_writable(tmp_path / "file" / "x.npz")
    with pytest.raises(DataError, match=r"dir\.npz: cannot be written"):
        check_writable(tmp_path / "new.csv", tmp_path / "dir.npz")
    assert sorted(os.listdir(tmp_path)) == ["dir.npz", "file"]


def test_a_file_that_is_read_is_not_written_over(tmp_path: Path) -> None:
    check_not_read(tmp_path / "new.csv", [tmp_path / "pairs.csv"])
    with pytest.raises(DataError, match=r"pairs\.csv: is read too, and would be written over; give another place$"):
        check_not_read(tmp_path / "x" / ".." / "pairs.csv", [tmp_path / "pairs.csv"])


def test_a_folder_that_may_not_be_written_is_named_by_the_file_with_a_remedy(tmp_path: Path) -> None:
    target = tmp_path / "config_test.yaml"
    with pytest.raises(PermissionError) as caught, replacing(target) as path:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists") as exists:
        (tmp_path / "file").mkdir()
    assert "; a file is where a folder is to be: choose another folder" in refused_by_system(exists.value)
    with pytest.raises(OSError, match="directory") as folder:
        tmp_path.write_text("")
    assert "; a folder is where a file is to be: choose another name" in refused_by_system(folder.value)
    assert refused_by_system(caught.value) == (
        f"{target}: Operation not permitted; change its permissions, or choose another folder (TRACEBACK=1 shows where)"
    )


FULL_DISK = Path("/dev/full")


def write_numpy(path: Path) -> None:
    np.save(path, np.zeros(10**5))


def write_arrow(path: Path) -> None:
    table = pa.table({"x": np.zeros(10**5)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def write(target: Path, writer: Callable[[Path], object]) -> None:
    with replacing(target) as path:
        path.symlink_to(FULL_DISK)
        writer(path)


@pytest.mark.skipif(not FULL_DISK.exists(), reason="no device that is full")
@pytest.mark.parametrize("writer", [lambda path: path.write_text("x"), write_numpy, write_arrow])
def test_a_full_disk_is_one_error_of_the_file_whoever_writes(tmp_path: Path, writer: Callable[[Path], object]) -> None:
    target = tmp_path / "new" / "newer" / "table.npy"
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(target, writer)
    assert refused_by_system(caught.value) == (
        f"{target}: No space left on device; make room there, or choose another folder (TRACEBACK=1 shows where)"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError("6400 requested and 0 written"), errno.ENOSPC),  # NumPy
        (OSError("6400 requested and 0 read"), None),
        (RuntimeError("I/O error: No space left on device (os error 28)"), errno.ENOSPC),  # safetensors
        (RuntimeError("Error in write: Disk quota exceeded"), errno.EDQUOT),
    ],
)
def test_writers_say_in_their_own_words_that_a_disk_is_full(
    tmp_path: Path, error: Exception, number: int | None
) -> None:
    with pytest.raises(OSError, match=r"read|No space|quota") as caught, replacing(tmp_path / "table.npy"):
        raise error
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "table.npy"))


def test_folders_that_were_there_or_hold_other_files_stay(tmp_path: Path) -> None:
    def fail(target: Path, other: str) -> None:
        with replacing(target):
            (target.parent / other).touch()
            raise KeyboardInterrupt

    for folder in ("new", "new/empty"):
        with pytest.raises(KeyboardInterrupt):
            fail(tmp_path / folder / "table.npy", "../other")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "other", "other"]
