"""Fetch one file over HTTP, so that a broken download continues where it stopped, in another process too.

requests fetches, urllib3 repeats what an overloaded server refused, hashlib checks. The `.part` file is ours: pooch,
the usual tool, fetches into a temporary file of random name, deletes it when the connection breaks, leaves it behind
when the process is killed, and sends no Range request, so a download of many gigabytes would start again.
"""

import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from urllib3.util import Retry

from common.errors import DataError
from common.file_kinds import Fault, page_fault

CHUNK = 64 * 1024  # bytes; what a kill loses at most
TIMEOUT = (10.0, 60.0)  # s, to connect and between two packets
PAUSES = (1.0, 5.0, 15.0, 30.0, 60.0)  # s to wait after a connection broke
BUSY = (429, 500, 502, 503, 504)  # status codes by which a server asks to come again
MIRROR = "give another server with --mirror"


def download(
    url: str, path: Path, checksum: str | None = None, fault: Fault = page_fault, elsewhere: str = MIRROR
) -> None:
    """Fetch `url` into `path`, which appears only when it is whole and its checksum right.

    Until then the bytes are in `path` + `.part`, which survives a broken connection and a kill: the next call asks
    for the rest (HTTP Range), or starts again if the server ignores that. Without a checksum the rest is taken only
    where the server says, by ETag or date, that the file is still the same (If-Range, RFC 9110, 13.1.5): halves of two
    versions could not be told apart. A file that exists and has the right checksum, or for which none is given and no
    `fault` is found, is left alone.

    Args:
        url: http or https.
        path: the file; its folder is made.
        checksum: algorithm and hexadecimal digest, or its beginning, such as `md5:0cc1...` or `sha256:9f86...`.
        fault: what is wrong with a file that has no checksum.
        elsewhere: what to do where the server does not have the file or cannot be reached, for messages.

    Raises:
        DataError: no connection, a refusal by the server, a full disk, another checksum than expected, or another kind
            of file, such as a page that asks to log in.
    """
    if path.is_file() and _is_right(path, checksum, fault):
        return
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if checksum is None and not _version_file(part).is_file():
            part.unlink(missing_ok=True)
        _fetch(url, part)
        _version_file(part).unlink(missing_ok=True)
        if checksum is not None and not (found := checksum_of(part, checksum.partition(":")[0])).startswith(checksum):
            part.unlink()
            raise DataError(
                f"{path}: {url} should have the checksum {checksum}, but came with {found}; it was damaged on its way "
                "or changed at its source: nothing was kept, run the command again"
            )
        if checksum is None and (what := fault(part)):
            part.unlink()
            raise DataError(f"{path}: what came from {url} {what}; is that the right server? (nothing was kept)")
        os.replace(part, path)
    except requests.RequestException as error:
        raise DataError(_explain(error, url, part, elsewhere)) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); give another folder") from error


def _is_right(path: Path, checksum: str | None, fault: Fault) -> bool:
    """Whether a file that is there need not be fetched."""
    if checksum is None:
        return fault(path) is None
    return checksum_of(path, checksum.partition(":")[0]).startswith(checksum)


def read_json(url: str) -> tuple[Any, str | None]:
    """The JSON behind `url`, and the address of the next page where its Link header names one.

    Raises:
        DataError: no connection, a refusal by the server, or something that is not JSON.
    """
    try:
        with _session() as session, session.get(url, timeout=TIMEOUT) as response:
            response.raise_for_status()
            return response.json(), response.links.get("next", {}).get("url")
    except (requests.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{url}: the answer is not JSON; is that the right server?") from error
    except requests.RequestException as error:
        raise DataError(_explain(error, url, None, MIRROR)) from error


def checksum_of(path: Path, algorithm: str) -> str:
    """Checksum of a file, `algorithm:hexadecimal digest`, for any algorithm of hashlib."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _fetch(url: str, part: Path) -> None:
    """Fetch the rest of `part`, again after a broken connection, if anything came of it before it broke."""
    begin = _size(part)
    for pause in (*PAUSES, None):
        try:
            return _fetch_once(url, part)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if pause is None or _size(part) == begin:
                raise
            time.sleep(pause)


def _fetch_once(url: str, part: Path) -> None:
    """Append what is missing of `part`; all of it where the server sends all."""
    begin = _size(part)
    headers = {"Accept-Encoding": "identity"}  # the file's own bytes: of others no byte range could be asked
    version = _version_file(part).read_text() if _version_file(part).is_file() else ""
    if begin:
        headers |= {"Range": f"bytes={begin}-", **({"If-Range": version} if version else {})}
    with _session() as session, session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        sent = response.headers.get("Content-Range", "")
        if begin and response.status_code == 416 and sent == f"bytes */{begin}":
            return  # nothing is missing
        other = version and _version_of(response) not in ("", version)
        other_range = response.status_code == 206 and (other or not sent.startswith(f"bytes {begin}-"))
        if begin and (response.status_code == 416 or other_range):
            part.unlink()  # it is no beginning of this file
            _version_file(part).unlink(missing_ok=True)
            return _fetch_once(url, part)
        response.raise_for_status()
        if response.status_code != 206:
            begin = 0
        said = response.headers.get("Content-Length", "").strip()
        length = int(said) if said.isascii() and said.isdigit() else None
        _check_disk(part, length or 0)
        total = None if length is None else begin + length
        if not begin:
            _version_file(part).unlink(missing_ok=True)
        with (
            part.open("ab" if begin else "wb") as file,
            progress_bar(DownloadColumn(), TransferSpeedColumn()) as progress,
        ):
            task = progress.add_task(part.name.removesuffix(".part"), total=total, completed=begin)
            if not begin and (version := _version_of(response)):
                _version_file(part).write_text(version)  # only now that nothing of another version is left
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress.update(task, advance=len(chunk))
        if total is not None and _size(part) != total and "Content-Encoding" not in response.headers:
            raise requests.ConnectionError(f"{_size(part)} of {total} bytes came")


def _version_file(part: Path) -> Path:
    """Where it stands of which version of the file `part` is the beginning."""
    return part.with_name(part.name + ".version")


def _version_of(response: requests.Response) -> str:
    """What If-Range may name: a strong ETag, else a date; empty where the server gives neither."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _session() -> requests.Session:
    session = requests.Session()
    busy = Retry(total=5, connect=0, read=0, status_forcelist=BUSY, backoff_factor=1, raise_on_status=False)
    session.mount("http://", HTTPAdapter(max_retries=busy))
    session.mount("https://", HTTPAdapter(max_retries=busy))
    return session


def progress_bar(*counts: ProgressColumn) -> Progress:
    """A bar with these columns on stderr, where that is a terminal; it leaves nothing behind."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _check_disk(part: Path, length: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if length > free:
        raise DataError(
            f"{part.parent}: {part.name.removesuffix('.part')} needs another {length / 1e9:.1f} GB, but only "
            f"{free / 1e9:.1f} GB are free; make room or give another folder"
        )


def _explain(error: requests.RequestException, url: str, part: Path | None, elsewhere: str) -> str:
    """One line on what went wrong on the way to `url`."""
    if isinstance(error, requests.HTTPError):
        what = str(error).partition(" for url")[0]  # such as "404 Client Error: Not Found"
        return f"{url}: the server answers {what}; if the file has moved, {elsewhere}"
    kept = f"; {_size(part) / 1e6:.1f} MB are kept, run the command again" if part is not None and _size(part) else ""
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "bytes came" in str(error):
        return f"{url}: the connection broke{kept or '; run the command again'}"
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        host = urlsplit(url).netloc
        return f"{url}: {host} cannot be reached; check the network, or {elsewhere}{kept}"
    return f"{url}: cannot be fetched ({error}); {elsewhere}"
