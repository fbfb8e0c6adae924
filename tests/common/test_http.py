import hashlib
import multiprocessing
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import DataError
from common.http import CHUNK, download, read_json
from tests.support.local_server import Server, serve
from tests.support.waiting import until

DATA = np.random.default_rng(0).bytes(20 * CHUNK + 123)
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def server(server: Server) -> Server:
    server.files["/a.7z"] = DATA
    return server


def test_a_file_is_fetched_once_and_checked(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.7z"
    for _ in range(2):
        download(f"{server.url}/a.7z", path, f"md5:{hashlib.md5(DATA).hexdigest()}")
    assert path.read_bytes() == DATA
    assert server.asked == [("/a.7z", None)]
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_there_but_wrong_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.7z"
    path.write_bytes(DATA[:-1])
    download(f"{server.url}/a.7z", path, SHA256)
    assert path.read_bytes() == DATA


def test_after_a_broken_connection_only_the_rest_is_asked_for(server: Server, tmp_path: Path) -> None:
    path, part = tmp_path / "a.7z", tmp_path / "a.7z.part"
    server.break_after, server.breaks = 10 * CHUNK, 1
    with pytest.raises(DataError, match=r"a\.7z: the connection broke; 0\.\d MB are kept, run the command again$"):
        download(f"{server.url}/a.7z", path, SHA256)
    kept = part.stat().st_size
    assert kept > 5 * CHUNK
    assert not path.exists()
    download(f"{server.url}/a.7z", path, SHA256)
    assert path.read_bytes() == DATA
    assert server.asked[1:] == [("/a.7z", f"bytes={kept}-")]
    assert not part.exists()


def test_a_broken_connection_is_taken_up_by_itself(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.http.PAUSES", (0.0, 0.0, 0.0))
    server.break_after, server.breaks = 6 * CHUNK, 3
    download(f"{server.url}/a.7z", tmp_path / "a.7z", SHA256)
    assert (tmp_path / "a.7z").read_bytes() == DATA
    begins = [int(asked[6:-1]) for _, asked in server.asked if asked is not None]
    assert len(server.asked) == 4
    assert begins == sorted(begins)


def test_a_killed_process_leaves_what_it_fetched(server: Server, tmp_path: Path) -> None:
    path, part = tmp_path / "a.7z", tmp_path / "a.7z.part"
    server.stall_after = 12 * CHUNK
    process = multiprocessing.get_context("fork").Process(target=download, args=(f"{server.url}/a.7z", path, SHA256))
    process.start()
    until(lambda: part.exists() and part.stat().st_size >= 8 * CHUNK, process)
    process.kill()
    process.join()
    assert process.exitcode == -9
    assert not path.exists()
    kept = part.stat().st_size
    server.go.set()
    download(f"{server.url}/a.7z", path, SHA256)
    assert path.read_bytes() == DATA
    assert server.asked[-1] == ("/a.7z", f"bytes={kept}-")
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.integers(0, len(DATA) + 10), ranges=st.booleans())
@example(kept=len(DATA), ranges=True)
@example(kept=len(DATA) + 1, ranges=True)
def test_whatever_was_kept_the_bytes_are_the_same(server: Server, tmp_path: Path, kept: int, ranges: bool) -> None:
    path, part = tmp_path / "a.7z", tmp_path / "a.7z.part"
    path.unlink(missing_ok=True)
    part.write_bytes((DATA + b"too much!!")[:kept])
    server.ranges = ranges
    download(f"{server.url}/a.7z", path, SHA256)
    assert path.read_bytes() == DATA
    assert not part.exists()


def test_without_a_checksum_nothing_is_joined_to_what_was_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.7z.part").write_bytes(b"of another version")
    download(f"{server.url}/a.7z", tmp_path / "a.7z")
    assert (tmp_path / "a.7z").read_bytes() == DATA
    assert server.asked == [("/a.7z", None)]


@pytest.mark.parametrize("changed", [False, True])
def test_without_a_checksum_the_rest_of_the_same_version_is_taken(
    server: Server, tmp_path: Path, changed: bool
) -> None:
    path, part = tmp_path / "a.7z", tmp_path / "a.7z.part"
    server.versioned, server.break_after, server.breaks = True, 10 * CHUNK, 1
    with pytest.raises(DataError, match="the connection broke"):
        download(f"{server.url}/a.7z", path)
    kept = part.stat().st_size
    if changed:
        server.files["/a.7z"] = DATA[::-1]
    download(f"{server.url}/a.7z", path)
    assert path.read_bytes() == server.files["/a.7z"]
    assert server.asked[1:] == [("/a.7z", f"bytes={kept}-")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.7z"
    with pytest.raises(DataError) as caught:
        download(f"{server.url}/a.7z", path, "md5:" + 32 * "0")
    message = str(caught.value)
    for words in (str(path), 32 * "0", hashlib.md5(DATA).hexdigest(), "run the command again"):
        assert words in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.busy = 1
    download(f"{server.url}/a.7z", tmp_path / "a.7z", SHA256)
    assert len(server.asked) == 2


def test_a_server_without_the_file_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/b\.7z: the server answers 404 Client Error: Not Found; .* --mirror$"):
        download(f"{server.url}/b.7z", tmp_path / "b.7z", SHA256)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kept", [0, 1_000_000])
def test_without_a_network_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with serve() as gone:
        url = f"{gone.url}/a.7z"
    part = tmp_path / "a.7z.part"
    part.write_bytes(bytes(kept))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:\d+ cannot be reached; check the network") as caught:
        download(url, tmp_path / "a.7z", SHA256)
    assert ("1.0 MB are kept" in str(caught.value)) == bool(kept)
    assert "\n" not in str(caught.value)
    assert part.stat().st_size == kept


def test_a_full_disk_is_noticed_before(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"a\.7z needs another 0\.0 GB, but only 0\.0 GB are free; make room"):
        download(f"{server.url}/a.7z", tmp_path / "a.7z", SHA256)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file.a\.7z: cannot be written \(.+\); give another folder$"):
        download(f"{server.url}/a.7z", tmp_path / "file" / "a.7z", SHA256)


def test_an_answer_that_is_not_json_is_named(server: Server) -> None:
    server.files["/page"] = b"<html>"
    with pytest.raises(DataError, match=r"/page: the answer is not JSON"):
        read_json(f"{server.url}/page")
