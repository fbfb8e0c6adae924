"""Files that are replaced as a whole or not at all."""

import os
from pathlib import Path

import pytest

from common.atomic_files import replacing


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
