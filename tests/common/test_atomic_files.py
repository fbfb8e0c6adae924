"""Files that are replaced as a whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from common.atomic_files import replacing
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
