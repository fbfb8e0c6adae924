"""Fixtures of the tests of the command line."""

from pathlib import Path

import pytest

from tests.support.sweeps import STUB


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a program that stands for train.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stub.py").write_text(STUB)
    return tmp_path
