"""A server on this machine that takes uploads as the Hugging Face hub does: small files in the commit, large by LFS."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.local_server import Quiet, answering

LARGE = (".safetensors", ".onnx")  # the endings that go by LFS


@dataclass
class Hub:
    """What was uploaded: repositories as files by path, large objects by checksum; and how it behaves."""

    token: str = "right"
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # method and path of each request
    url: str = ""


@contextmanager
def serve_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path, body = self.begin()
            if path == "/api/validate-yaml":
                self.answer(200, {"errors": [], "warnings": []})
            elif self.headers.get("Authorization") != f"Bearer {hub.token}":
                self.answer(401, {"error": "Invalid username or password."})
            elif path == "/api/repos/create":
                wanted = json.loads(body)
                name = f"{wanted['organization']}/{wanted['name']}"
                there = name in hub.repositories
                hub.repositories.setdefault(name, {})
                self.answer(409 if there else 200, {"url": f"{hub.url}/{name}"})
            elif "/preupload/" in path:
                modes = {True: "lfs", False: "regular"}
                files = [
                    {"path": file["path"], "uploadMode": modes[file["path"].endswith(LARGE)], "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
                self.answer(200, {"files": files})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {**each, "actions": {"upload": {"href": f"{hub.url}/objects/{each['oid']}"}}}
                    for each in json.loads(body)["objects"]
                ]
                self.answer(200, {"transfer": "basic", "objects": objects})
            elif "/commit/" in path:
                self.commit(path.removeprefix("/api/models/").split("/commit/")[0], body)
            else:
                self.answer(404, {"error": "not here"})

        def do_PUT(self) -> None:  # the address is signed: no token
            path, body = self.begin()
            hub.objects[path.rpartition("/")[2]] = body
            self.answer(200, {})

        def do_GET(self) -> None:
            self.begin()
            self.answer(404, {"error": "not here"})

        def commit(self, name: str, body: bytes) -> None:
            for line in body.splitlines():
                entry = json.loads(line)
                value: dict[str, Any] = entry["value"]
                if entry["key"] == "file":
                    assert value["encoding"] == "base64"
                    hub.repositories[name][value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    data = hub.objects[value["oid"]]
                    assert hashlib.sha256(data).hexdigest() == value["oid"]
                    hub.repositories[name][value["path"]] = data
            self.answer(200, {"commitUrl": f"{hub.url}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40})

        def begin(self) -> tuple[str, bytes]:
            path = self.path.partition("?")[0]
            hub.asked.append(f"{self.command} {path}")
            return path, self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with answering(Handler) as hub.url:
        yield hub
