"""A run that teaches, and the data of its student."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.clotho import Clotho
from tests.support.recordings import tiny_run


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, on a corpus beside it."""
    return tiny_run(tmp_path_factory.mktemp("teacher"))


@pytest.fixture
def student_data() -> Callable[[Path], Clotho]:
    """Opens a corpus in a folder at a student's rate, with the splits of `fit`."""

    def opened(root: Path) -> Clotho:
        data = Clotho(str(root), batch_size=2, num_workers=0, sample_rate=8000)
        data.setup("fit")
        return data

    return opened


@pytest.fixture
def data(teacher: Path, student_data: Callable[[Path], Clotho]) -> Clotho:
    """The corpus that the teacher was trained on."""
    return student_data(teacher.parents[2] / "clotho")


@pytest.fixture
def copied(teacher: Path, tmp_path: Path) -> Path:
    """A copy of the teacher that a test may change."""
    return Path(shutil.copytree(teacher, tmp_path / "runs" / "copied" / "0"))
