"""A server on this machine with the habits of those that hold the data sets."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Server:
    """What it serves by path, how it behaves, and what it was asked: (path, Range header) of each request."""

    files: dict[str, bytes] = field(default_factory=dict)
    listings: dict[str, list[list[dict[str, object]]]] = field(default_factory=dict)  # pages by path
    ranges: bool = True
    versioned: bool = False  # it gives ETags, and minds If-Range
    break_after: int | None = None  # bytes of the body, after which it hangs up
    breaks: int = 0  # how many times it does
    stall_after: int | None = None  # bytes, after which nothing comes until `go` is set
    busy: int = 0  # how many requests it refuses at first
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class Quiet:
    """Keeps connections open between requests, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that was killed


@contextmanager
def answering(handler: Callable[..., BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """The address of a server that answers by this handler."""
    server = QuietServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve() -> Iterator[Server]:
    state = Server()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            path = unquote(address.path)
            state.asked.append((path, self.headers.get("Range")))
            if state.busy:
                state.busy -= 1
                self.answer(503, b"")
            elif path in state.listings:
                number = int(parse_qs(address.query).get("page", ["0"])[0])
                pages = state.listings[path]
                more = {"Link": f'<{path}?page={number + 1}>; rel="next"'} if number + 1 < len(pages) else {}
                self.answer(200, json.dumps(pages[number]).encode(), more)
            elif path in state.files:
                self.send_file(state.files[path])
            else:
                self.answer(404, b"not here")

        def send_file(self, data: bytes) -> None:
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            begin = int(found[1]) if found and state.ranges else 0
            tag = f'"{hashlib.md5(data).hexdigest()}"'
            if state.versioned and self.headers.get("If-Range", tag) != tag:
                begin = 0
            if begin and begin >= len(data):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            elif begin:
                self.answer(206, data[begin:], {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"})
            else:
                self.answer(200, data)

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            if state.versioned and status == 200:
                self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.breaks and state.break_after is not None and status in (200, 206):
                state.breaks -= 1
                self.wfile.write(body[: state.break_after])
                self.close_connection = True
            elif state.stall_after is not None and not state.go.is_set():
                self.wfile.write(body[: state.stall_after])
                state.go.wait(60)
            else:
                self.wfile.write(body)

    with answering(Handler) as state.url:
        try:
            yield state
        finally:
            state.go.set()
