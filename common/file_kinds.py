"""Whether a file that came without a checksum is what it should be: servers send pages in place of files."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

Fault = Callable[[Path], str | None]
"""What is wrong with a file that was fetched, in words that follow "what came"; None where nothing is."""


def page_fault(path: Path) -> str | None:
    """Whether a file is empty, or a web page."""
    with path.open("rb") as file:
        begin = file.read(1024).lstrip().lower()
    if not begin:
        return "is empty"
    return "is a web page" if begin.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")) else None


def checkpoint_fault(path: Path) -> str | None:
    """Whether a file is no PyTorch checkpoint: a whole zip file, or a pickle as before PyTorch 1.6."""
    if fault := page_fault(path):
        return fault
    with path.open("rb") as file:
        begin = file.read(4)
    if begin.startswith(b"PK"):
        return None if zipfile.is_zipfile(path) else "is a PyTorch checkpoint that is cut off"
    return None if begin.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04")) else "is no PyTorch checkpoint"


def json_fault(size: int) -> Fault:
    """Whether a file is no JSON, or has not `size` bytes."""

    def fault(path: Path) -> str | None:
        if found := page_fault(path):
            return found
        if path.stat().st_size != size:
            return f"has {path.stat().st_size} bytes instead of {size}"
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return "is not JSON"
        return None

    return fault
