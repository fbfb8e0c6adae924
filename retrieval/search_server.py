"""The server of `audio-relevance search --serve`: a page, answers in JSON, recordings and their pictures.

It serves this computer alone. Recordings are looked up by their names in the index, so no path of a request reaches the
file system.
"""

import json
import logging
import math
import re
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from common.errors import RunError, UserError
from experiments.result_files import csv_text
from retrieval.search_index import Hit, Query, SearchIndex
from retrieval.spectrogram import spectrogram_png

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("search.html", "text/html; charset=utf-8"),
    "/search.css": ("search.css", "text/css; charset=utf-8"),
    "/search.js": ("search.js", "text/javascript; charset=utf-8"),
}
AUDIO_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg"}  # others are ogg
FIRST_PORT, PORTS = 7860, 20
LONGEST_QUERY = 1000  # characters; models read some 30 words
LARGEST_EXAMPLE = 100_000_000  # bytes
MOST_DIGITS = 18  # of a number in a header
RANGE = re.compile(rf"bytes=([0-9]{{0,{MOST_DIGITS}}})-([0-9]{{0,{MOST_DIGITS}}})")
MOST_HITS = 200  # an answer
MOST_ROWS = 100_000  # of a downloaded ranking
MOST_REQUESTS = 64  # at a time
IDLE_SECONDS = 20.0  # without a byte from or to a client
UPLOAD_SECONDS = 120.0
CHUNK = 1 << 18  # bytes
SAFE = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """An answer other than 200, and why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class SearchServer(ThreadingHTTPServer):
    """Answers requests of the page; see `serve`.

    Args:
        index: what is searched.
        about: what the page says of it, beside `SearchIndex.about`.
        top: hits a page.
        port: None: the first free one from 7860.

    Raises:
        RunError: the port, or every port, is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, index: SearchIndex, about: dict[str, Any], top: int, port: int | None) -> None:
        self.index, self.top = index, min(top, MOST_HITS)
        self.about = {**index.about(), **about, "top": self.top}
        self._places = threading.BoundedSemaphore(MOST_REQUESTS)
        for candidate in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]:
            if port is not None or not _answers(candidate):
                try:
                    super().__init__(("127.0.0.1", candidate), _Handler)
                    return
                except OSError:
                    continue
        raise RunError(f"the page cannot be served: {port or 'every port'} is taken; give another --port")

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own; beyond `MOST_REQUESTS` at a time the connection is closed."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Like `ThreadingHTTPServer`'s, and makes room for another request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that went away."""
        log.debug("a client went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: SearchServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "search", ""
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer(self._get)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def _answer(self, work: Callable[[str, dict[str, str]], None]) -> None:
        try:
            self._check_origin()
            if len(self.path) > 8 * LONGEST_QUERY:
                raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long")
            address = _split(self.path)
            work(address.path, dict(parse_qsl(address.query, errors="replace")))
        except Refused as error:
            self._send_error(error.status, str(error))
        except UserError as error:
            self._send_error(HTTPStatus.BAD_REQUEST, str(error))
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        except Exception:
            log.exception("a request failed: %s", self.path[:200])
            self._send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "the search failed; the terminal says why")

    def _check_origin(self) -> None:
        """Refuse what another site makes a browser ask, also one whose name was pointed at this computer."""
        port = self.server.server_address[1]
        here = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in here or (origin and origin not in {f"http://{name}" for name in here}):
            raise Refused(HTTPStatus.FORBIDDEN, "this page is for this computer alone")

    def _get(self, path: str, asked: dict[str, str]) -> None:
        index = self.server.index
        if path in FILES:
            name, kind = FILES[path]
            self._send(PAGE.joinpath(name).read_bytes(), kind)
        elif path == "/about":
            self._send_json(self.server.about)
        elif path == "/search":
            query, began = _query(asked), time.perf_counter()
            offset = int(_number(asked, "offset", 0))
            hits = index.search(query, self.server.top, offset)
            took = time.perf_counter() - began
            self._send_json({"hits": [*map(_as_json, hits)], "total": index.count(query), "seconds": took})
        elif path == "/ranking.csv":
            content = ranking_csv(index.search(_query(asked), MOST_ROWS))
            self._send(
                content.encode(),
                "text/csv; charset=utf-8",
                {"Content-Disposition": 'attachment; filename="ranking.csv"'},
            )
        elif path == "/audio":
            self._send_file(self._recording(asked))
        elif path == "/spectrogram":
            kept = {"Cache-Control": "private, max-age=3600"}
            self._send(spectrogram_png(self._recording(asked)), "image/png", kept)
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")

    def _post(self, path: str, asked: dict[str, str]) -> None:
        if path != "/example":
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        name = asked.get("name", "example")[:200]
        self._send_json({"like": self.server.index.add_example(self._body(), name), "name": name})

    def _body(self) -> bytes:
        self.close_connection = True  # whatever of the body is not read
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length of the file is missing")
        if len(length) > MOST_DIGITS or int(length) > LARGEST_EXAMPLE:
            limit = f"{LARGEST_EXAMPLE / 1e6:.0f} MB"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the file is larger than {limit}; cut it")
        body, until = bytearray(), time.monotonic() + UPLOAD_SECONDS
        while len(body) < int(length):
            read = self.rfile.read1(min(CHUNK, int(length) - len(body)))  # type: ignore[attr-defined]
            if not read or time.monotonic() > until:
                raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the file did not arrive; try again")
            body += read
        return bytes(body)

    def _recording(self, asked: dict[str, str]) -> Path:
        recordings = self.server.index.recordings
        row = recordings.row.get(asked.get("name", ""))
        path = None if row is None else recordings.paths[row]
        if path is None or not path.is_file():
            raise Refused(HTTPStatus.NOT_FOUND, "the file is not here")
        return path

    def _send_file(self, path: Path) -> None:
        kind = AUDIO_TYPES.get(path.suffix.lower(), "audio/ogg")
        with path.open("rb") as file:
            size = path.stat().st_size
            part = _range(self.headers.get("Range"), size)
            first, last = part or (0, size - 1)
            headers = {"Accept-Ranges": "bytes"}
            if part is not None:
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT, kind, last - first + 1, headers)
            file.seek(first)
            left = 0 if self.command == "HEAD" else last - first + 1
            while left > 0 and (data := file.read(min(CHUNK, left))):
                self.wfile.write(data)
                left -= len(data)
            if left > 0:
                self.close_connection = True

    def _send_json(self, content: Any) -> None:
        self._send(json.dumps(content).encode(), "application/json", {"Cache-Control": "no-store"})

    def _send_error(self, status: HTTPStatus, message: str) -> None:
        self.close_connection = True
        self._send(json.dumps({"error": message}).encode(), "application/json", status=status)

    def _send(
        self, content: bytes, kind: str, headers: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._head(status, kind, len(content), headers or {})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **SAFE, **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def serve(index: SearchIndex, about: dict[str, Any], top: int, port: int | None) -> None:
    """Serve the page to this computer alone, until Ctrl-C.

    Raises:
        RunError: the port is taken.
    """
    with SearchServer(index, about, top, port) as server:
        print(f"page: http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C ends it)", flush=True)
        server.serve_forever()


def ranking_csv(hits: list[Hit]) -> str:
    """A ranking as a csv file; a name that a spreadsheet would take for a formula begins with `./`."""
    rows = []
    for hit in hits:
        name = f"./{hit.name}" if hit.name[:1] in tuple("=+-@\t\r") else hit.name
        times = ["" if value is None else f"{value:.3f}" for value in (hit.seconds, hit.start, hit.end)]
        rows.append([hit.rank, f"{hit.similarity:.6f}", name, *times])
    return csv_text(["rank", "similarity", "file", "seconds", "window_start", "window_end"], rows)


def _query(asked: dict[str, str]) -> Query:
    for name in ("text", "minus"):
        if len(asked.get(name, "")) > LONGEST_QUERY:
            raise RunError(f"the query is longer than {LONGEST_QUERY} characters; shorten it")
    longest = _number(asked, "longest", math.inf)
    return Query(
        text=asked.get("text", ""),
        like=asked.get("like", ""),
        minus=asked.get("minus", ""),
        weight=_number(asked, "weight", 0.5),
        folder=asked.get("folder", ""),
        shortest=_number(asked, "shortest", 0),
        longest=None if math.isinf(longest) else longest,
    )


def _number(asked: dict[str, str], name: str, default: float) -> float:
    try:
        value = float(asked[name]) if asked.get(name) else default
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e9 and value != default:
        raise RunError(f"{name} is '{asked[name][:40]}'; give a number from 0")
    return value


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "the address cannot be read") from error


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None: everything, or it is not understood."""
    asked = RANGE.fullmatch(header or "")
    if asked is None or asked[0] == "bytes=-":
        return None
    begin, end = asked.groups()
    first = int(begin) if begin else max(size - int(end), 0)
    last = min(int(end), size - 1) if begin and end else size - 1
    if first > last:
        raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the file ends before that")
    return first, last


def _as_json(hit: Hit) -> dict[str, Any]:
    return {**hit._asdict(), "path": None, "here": hit.path is not None}


def _answers(port: int) -> bool:
    """Whether something listens to a port already: with SO_REUSEADDR some systems would let two."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
