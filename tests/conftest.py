"""Fixtures of all rooms, and how property tests choose their examples."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from common.errors import DataError
from tests.support.corpus import Corpus, write_corpus
from tests.support.local_server import Server, serve

# No test measures time, and a change is tested with the same examples every time; look for new ones with
# `HYPOTHESIS_PROFILE=explore make test`.
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "all")  # each of them, not the first alone
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def _modules_of_a_test_leave_with_it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Modules that a test wrote are not found by the next, which may write another of the same name."""
    path, names = [*sys.path], {*sys.modules}
    yield
    sys.path[:] = path
    folder = str(tmp_path_factory.getbasetemp())
    for name in {*sys.modules} - names:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """A corpus of 6 / 3 / 4 recordings that a test may damage."""
    return write_corpus(tmp_path / "clotho")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of data sets, asked without pauses."""
    monkeypatch.setattr("common.http.PAUSES", ())
    monkeypatch.setenv("NO_PROXY", "*")
    with serve() as server:
        yield server


@pytest.fixture
def refused() -> Callable[[Callable[[], object]], str]:
    """Calls something that must be refused, and gives the message: always one line."""

    def call(mistake: Callable[[], object]) -> str:
        with pytest.raises(DataError) as caught:
            mistake()
        message = str(caught.value)
        assert "\n" not in message
        return message

    return call
