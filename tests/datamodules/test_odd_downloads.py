"""Servers that send something else than was asked for: said in one line, and nothing of it kept."""

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from cli.__main__ import main
from common.errors import DataError
from common.http import download, read_json
from common.pretrained import PASST, github_path
from datamodules.downloads.datasets import hub_files
from tests.support.local_server import Server, answering

PAGE = b"<!DOCTYPE html><html><body>Please log in to continue</body>"
ADDRESS, FILE = github_path(PASST), Path(PASST).name
BLACKLIST = "/api/datasets/cvssp/WavCaps/tree/main/json_files/blacklist"


def checkpoint(**options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(300)}, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (PAGE, "is a web page"),
        (b"\n\n  <html>", "is a web page"),
        (b"", "is empty"),
        (b"not here", "is no PyTorch checkpoint"),
        (checkpoint()[:-100], "is a PyTorch checkpoint that is cut off"),
    ],
)
def test_a_page_is_no_checkpoint(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, fault: str
) -> None:
    command = ["download", "passt", "--root", str(tmp_path), "--mirror", server.url]
    server.files[ADDRESS] = content
    for _ in range(2):
        assert main(command) == 1
        message = capsys.readouterr().err
        assert message.endswith(
            f"what came from {server.url}{ADDRESS} {fault}; is that the right server? (nothing was kept)\n"
        )
        assert message.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == [f"{FILE}.lock"]
    (tmp_path / FILE).write_bytes(content)  # as an earlier version kept it
    server.files[ADDRESS] = checkpoint()
    assert main(command) == 0
    assert (tmp_path / FILE).read_bytes() == checkpoint()


@pytest.mark.parametrize("new", [True, False])
def test_checkpoints_of_both_formats_are_kept(server: Server, tmp_path: Path, new: bool) -> None:
    server.files[ADDRESS] = checkpoint(_use_new_zipfile_serialization=new)
    command = ["download", "passt", "--root", str(tmp_path), "--mirror", server.url]
    assert main(command) == main(command) == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize("content", [PAGE, b"", b'{"FreeSound": [', b"[" * 100_000])
def test_a_page_is_no_exclusion_list(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    entry = {"type": "file", "path": "json_files/blacklist/x.json", "size": len(content), "oid": "2"}
    server.listings[BLACKLIST] = [[dict(entry)]]
    server.files["/datasets/cvssp/WavCaps/resolve/main/json_files/blacklist/x.json"] = content
    assert main(["download", "wavcaps", "--root", str(tmp_path), "--mirror", server.url]) == 1
    assert "x.json: what came from " in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_list_whose_pages_lead_on_and_on_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.downloads.datasets.MOST_PAGES", 20)
    server.listings[BLACKLIST] = [[{"type": "file", "path": "x", "size": 1}]] * 30
    with pytest.raises(DataError, match=r"page=20: the list of files has no end, its pages lead on and on"):
        hub_files(server.url, "json_files/blacklist")


class Odd(BaseHTTPRequestHandler):
    """Sends what a test wants, as it is."""

    headers_sent: ClassVar[dict[str, str]] = {}
    body: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        self.send_response(200)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("common.http.PAUSES", ())
    monkeypatch.setenv("NO_PROXY", "*")
    with answering(Odd) as address:
        yield address


@pytest.mark.parametrize("length", ["banana", "-5", "1e3", "²", ""])
def test_a_length_that_is_no_number_is_not_known(
    odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    monkeypatch.setattr(Odd, "headers_sent", {"Content-Length": length})
    monkeypatch.setattr(Odd, "body", b"the file")
    download(f"{odd}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"the file"


def test_a_page_that_leads_to_itself_is_left(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "headers_sent", {"Link": '<?page=1>; rel="next"'})
    monkeypatch.setattr(Odd, "body", b'[{"type": "file", "path": "x", "size": 1}]')
    with pytest.raises(DataError, match="the list of files has no end"):
        hub_files(odd, "json_files/blacklist")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, PAGE, b"\xff\xfe"])
def test_json_that_is_none_is_one_line(odd: str, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(Odd, "body", body)
    with pytest.raises(DataError, match="the answer is not JSON; is that the right server"):
        read_json(f"{odd}/a")
