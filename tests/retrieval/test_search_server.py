"""The page's server: what it answers, and what it keeps to itself."""

import csv
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from common.errors import RunError
from retrieval import search_server
from retrieval.search_index import Hit, SearchIndex
from retrieval.search_server import PAGE, SearchServer, ranking_csv
from tests.support.recordings import NAMES
from tests.support.searched import HOSTILE, searched


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    folder = tmp_path_factory.mktemp("served")
    found = searched(folder)
    (folder / "audio" / "notes.txt").write_text("x")
    (folder / "secret.wav").write_text("x")
    return found


@pytest.fixture(scope="module")
def server(index: SearchIndex) -> Iterator[SearchServer]:
    with SearchServer(index, {"model": "a <b>model</b>", "captions": []}, 3, None) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def ask(
    server: SearchServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content, dict(response.getheaders())


def ask_json(server: SearchServer, path: str, **asked: Any) -> Any:
    return json.loads(ask(server, f"{path}?{urlencode(asked)}")[1])


def test_the_page_needs_nothing_from_elsewhere(server: SearchServer) -> None:
    for path in ("/", "/search.css", "/search.js"):
        status, content, headers = ask(server, path)
        assert status == 200
        assert b"http://" not in content
        assert b"https://" not in content
        assert b"innerHTML" not in content  # names are set as text
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    about = ask_json(server, "/about")
    assert (about["recordings"], about["windows"], about["folders"]) == (8, 9, ["deep", "deep/er"])
    assert about["model"] == "a <b>model</b>"


def test_answers_are_those_of_the_index(server: SearchServer, index: SearchIndex) -> None:
    answer = ask_json(server, "/search", text="loud dog", offset=2)
    assert answer["total"] == 8
    expected = index.search("loud dog", 3, 2)
    assert [(hit["rank"], hit["name"]) for hit in answer["hits"]] == [(hit.rank, hit.name) for hit in expected]
    assert {hit["path"] for hit in answer["hits"]} == {None}  # places on the disk are nobody's business
    assert ask_json(server, "/search", text="dog", folder="deep/er")["total"] == 1
    _, content, headers = ask(server, "/ranking.csv?text=dog&folder=deep")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["file"] for row in rows} == {"deep/c.ogg", "deep/er/a.wav", "deep/é 100%.mp3", f"deep/{HOSTILE}"}
    assert "attachment" in headers["Content-Disposition"]


def test_a_spreadsheet_sees_no_formula() -> None:
    text = ranking_csv([Hit(1, 0.5, HOSTILE, None, None), Hit(2, 0.25, 'a,"b".wav', None, 9.0, 2.0, 4.5)])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[1] == ["1", "0.500000", f"./{HOSTILE}", "", "", ""]
    assert rows[2] == ["2", "0.250000", 'a,"b".wav', "9.000", "2.000", "4.500"]


def test_recordings_are_given_whole_and_in_parts(server: SearchServer, index: SearchIndex) -> None:
    for name in (*NAMES, f"deep/{HOSTILE}"):
        path = index.recordings.paths[index.recordings.row[name]]
        assert path is not None
        address, content = f"/audio?name={quote(name)}", path.read_bytes()
        assert ask(server, address)[:2] == (200, content)
        status, part, headers = ask(server, address, Range="bytes=3-9")
        assert (status, part) == (206, content[3:10])
        assert headers["Content-Range"] == f"bytes 3-9/{len(content)}"
        assert ask(server, address, Range="bytes=-5")[1] == content[-5:]
        assert ask(server, address, Range="bytes=10-")[1] == content[10:]
        for outside in (f"{len(content)}-", "-0", "9-3"):
            assert ask(server, address, Range=f"bytes={outside}")[0] == 416
        for unclear in ("bytes=" + "9" * 5000 + "-", "bytes=0-1,5-9", "bytes=-"):
            assert ask(server, address, Range=unclear)[:2] == (200, content)
        assert ask(server, address, Range="lines=1-2")[:2] == (200, content)
        assert ask(server, address, "HEAD")[1] == b""


def test_nothing_of_an_empty_file_is_given(server: SearchServer, index: SearchIndex) -> None:
    path = index.recordings.paths[index.recordings.row["f.opus"]]
    assert path is not None
    content = path.read_bytes()
    path.write_bytes(b"")
    try:
        assert ask(server, "/audio?name=f.opus")[:2] == (200, b"")
        assert ask(server, "/audio?name=f.opus", Range="bytes=-5")[0] == 416
    finally:
        path.write_bytes(content)


def test_pictures_are_drawn_once(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, f"deep/{HOSTILE}"):
        status, content, headers = ask(server, f"/spectrogram?name={quote(name)}")
        assert (status, headers["Content-Type"], content[:4]) == (200, "image/png", b"\x89PNG")
    monkeypatch.setattr("retrieval.spectrogram.log_mel", None)  # it would fail
    assert ask(server, "/spectrogram?name=a.wav")[0] == 200


def test_no_other_file_is_given(server: SearchServer, tmp_path: Path) -> None:
    outside = ["notes.txt", "../secret.wav", "deep/../a.wav", "/etc/passwd", "a.wav\0", "", ".", "..%2fsecret.wav"]
    for name in outside:
        assert ask(server, f"/audio?name={quote(name)}")[0] == 404
        assert ask(server, f"/spectrogram?name={quote(name)}")[0] == 404
    for path in ("/../pyproject.toml", "/audio/a.wav", "//etc/passwd", "/page/search.js", "/%2e%2e/a", "/search.html"):
        assert ask(server, path)[0] == 404
    assert ask(server, "/about", "POST", b"")[0] == 404


def test_other_sites_are_refused(server: SearchServer) -> None:
    port = server.server_address[1]
    assert ask(server, "/about", Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] == 200
    assert ask(server, "/about", Host=f"evil.example:{port}")[0] == 403
    assert ask(server, "/example?name=a.wav", "POST", b"x", Origin="http://evil.example")[0] == 403


def test_an_example_is_dropped(server: SearchServer, index: SearchIndex) -> None:
    path = index.recordings.paths[index.recordings.row["b.FLAC"]]
    assert path is not None
    status, content, _ = ask(server, f"/example?name={quote('my <b>.flac')}", "POST", path.read_bytes())
    answer = json.loads(content)
    assert (status, answer["name"]) == (200, "my <b>.flac")
    assert ask_json(server, "/search", like=answer["like"])["hits"][0]["name"] == "b.FLAC"
    status, content, _ = ask(server, "/example?name=x.wav", "POST", b"no audio")
    assert status == 400
    assert "not an audio file that can be read" in json.loads(content)["error"]
    assert "/tmp" not in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/search?text=", "the query is empty; say in words what you want to hear"),
        ("/search?text=dog&shortest=x", "shortest is 'x'; give a number from 0"),
        ("/search?text=dog&offset=-1", "offset is '-1'; give a number from 0"),
        ("/search?text=dog&longest=nan", "longest is 'nan'; give a number from 0"),
        (f"/search?text={'a' * 1001}", "the query is longer than 1000 characters; shorten it"),
        ("/search?like=example:1", "the example is not kept any more; drop the file again"),
    ],
)
def test_a_wrong_question_is_told(server: SearchServer, path: str, message: str) -> None:
    status, content, _ = ask(server, path)
    assert (status, json.loads(content)) == (400, {"error": message})


def raw(server: SearchServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
        connection.sendall(request)
        return connection.makefile("rb").read()


def test_huge_bodies_are_not_read(server: SearchServer) -> None:
    host = f"Host: localhost:{server.server_address[1]}\r\n".encode()
    post = b"POST /example?name=a.wav HTTP/1.1\r\n" + host
    assert raw(server, post + b"Content-Length: 99999999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert raw(server, post + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert raw(server, b"GET http://[::1 HTTP/1.1\r\n" + host + b"\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(server, post + b"Transfer-Encoding: chunked\r\n\r\n5\r\n").startswith(b"HTTP/1.1 411 ")
    assert raw(server, post + b"Content-Length: -1\r\n\r\n").startswith(b"HTTP/1.1 411 ")
    assert raw(server, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + host + b"\r\n").startswith(b"HTTP/1.1 414 ")
    assert raw(server, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + host + b"\r\n").startswith(b"HTTP/1.1 431 ")


def test_slow_clients_are_left(server: SearchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_server._Handler, "timeout", 0.1)
    host = f"Host: localhost:{server.server_address[1]}\r\n".encode()
    assert raw(server, b"GET / HT") == b""
    assert raw(server, b"POST /example HTTP/1.1\r\n" + host + b"Content-Length: 100\r\n\r\nabc") == b""
    monkeypatch.undo()
    assert ask(server, "/about")[0] == 200


def test_too_many_connections_are_closed(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_server, "MOST_REQUESTS", 2)
    with SearchServer(index, {}, 3, None) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = ("127.0.0.1", server.server_address[1])
        with socket.create_connection(address) as first, socket.create_connection(address) as second:
            with socket.create_connection(address, timeout=20) as third:
                assert third.recv(1) == b""
            assert (first.fileno(), second.fileno()) != (-1, -1)
        server.shutdown()


def test_a_taken_port_is_told(server: SearchServer, index: SearchIndex) -> None:
    port = server.server_address[1]
    with pytest.raises(RunError, match=f"the page cannot be served: {port} is taken; give another --port"):
        SearchServer(index, {}, 3, port)
    with SearchServer(index, {}, 3, None) as other:
        assert other.server_address[1] != port


def test_the_page_s_files_are_there() -> None:
    assert {path.name for path in PAGE.iterdir()} == {"search.html", "search.css", "search.js"}
