"""Packed data sets at a URL: the index, kept on this machine, and the wav files of a shard as they stream by.

URLs are opened by fsspec, which knows folders and http(s), and with other packages s3 (s3fs), gs (gcsfs) and others;
tars are taken apart by WebDataset.
"""

import contextlib
import hashlib
import io
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.atomic_files import replacing
from common.cache_dir import default_cache_dir
from common.errors import DataError
from datamodules.audio import PACK
from datamodules.shards.checks import REMEDY, other_recording
from datamodules.shards.format import WAV_HEADER

log = logging.getLogger(__name__)

ATTEMPTS = 6
"""How often in a row a shard is tried without receiving a recording, with pauses of 1, 2, 4, ... s."""


class Member(NamedTuple):
    """A recording in a shard: the key of its files, the byte at which its samples begin, its split and its name."""

    key: str
    offset: int
    split: str
    name: str


def is_remote(url: str) -> bool:
    """Whether that is a URL, and not a folder of this machine.

    >>> is_remote("s3://bucket/clotho"), is_remote("/data/clotho"), is_remote("file:///data/clotho")
    (True, False, False)
    """
    return "://" in url and not url.startswith(("file://", "local://"))


def fetch_index(url: str) -> bytes:
    """Content of a packed data set's index.parquet; that of a URL is kept in the user's cache folder as well.

    Raises:
        DataError: it is not there, or cannot be fetched.
    """
    path = f"{url}/index.parquet"
    try:
        with _opened(path) as file:
            content: bytes = file.read()
    except Exception as error:  # the packages behind fsspec have no error in common
        if _is_absent(error):
            raise DataError(f"{path}: no such file; pack the data set with {PACK}, to its end") from error
        raise DataError(f"{path}: cannot be read ({_cause(error)}); check the address") from error
    if is_remote(url):
        with replacing(_kept_index(url)) as beside:
            beside.write_bytes(content)
    return content


def read_index_of(url: str) -> bytes:
    """The index that another process of this machine has fetched, else `fetch_index`."""
    kept = _kept_index(url)
    return kept.read_bytes() if is_remote(url) and kept.is_file() else fetch_index(url)


def _kept_index(url: str) -> Path:
    return default_cache_dir() / "streamed" / f"{hashlib.sha256(url.encode()).hexdigest()}.parquet"


def read_wavs(url: str, members: Sequence[Member], pause: float = 1.0) -> Iterator[bytes]:
    """The wav files of some recordings of a shard, as bytes, in the order of `members`, which is that of the tar.

    Nothing before the first or after the last is read, if the server supports it. When a connection breaks it
    continues with the first recording that has not come yet.

    Args:
        url: of the shard.
        members: the recordings.
        pause: seconds before the second attempt; doubled for each one after it.

    Raises:
        DataError: the shard is not there, cannot be read, misses a recording, or holds another one there; or
            WebDataset is not installed.
    """
    left, failed, ranges = list(members), 0, True
    while left:
        try:
            for key, wav, about in _samples(url, left, ranges):
                if key != left[0].key:
                    raise EOFError(f"holds no {left[0].key}.wav where its index says")
                if other := other_recording(about, left[0].split, left[0].name):
                    raise DataError(f"{url}: is not the shard that its index describes ({other}); {REMEDY}")
                del left[0]
                failed = 0
                yield wav
                if not left:
                    return
            raise EOFError(f"ends before {left[0].key}.wav, which its index names")
        except DataError:
            raise
        except Exception as error:  # the packages behind fsspec have no error in common
            if _is_absent(error):
                raise DataError(f"{url}: no such file, but the index names it; {_REMEDY}") from error
            if ranges and "range requests" in str(error):  # fsspec's words; a plain server sends whole files only
                ranges = False
                continue
            failed += 1
            if failed == ATTEMPTS or not is_remote(url):
                raise DataError(f"{url}: cannot be read ({_cause(error)}); {_REMEDY}") from error
            log.warning("%s: %s; trying again", url, _cause(error))
            time.sleep(pause * 2 ** (failed - 1))


def _samples(url: str, members: Sequence[Member], ranges: bool) -> Iterator[tuple[str, bytes, bytes]]:
    """Key, .wav and .json of each of these recordings of a shard."""
    try:
        from webdataset import tariterators
    except ImportError as error:
        raise DataError(
            "StreamedShards needs the package webdataset; run `pip install 'audio-relevance[streaming]'`"
        ) from error
    wanted = {f"{member.key}.{kind}" for member in members for kind in ("wav", "json")}
    # tarfile reads 10 kB at a time, for each of which fsspec would ask the thread that speaks to the server.
    with io.BufferedReader(_opened(url, ranges), 2**20) as stream:
        with contextlib.suppress(ValueError, OSError):  # a stream cannot: what is before goes by
            stream.seek(members[0].offset - WAV_HEADER - _TAR_HEADER)
        files = tariterators.tar_file_expander([{"url": url, "stream": stream}], select_files=wanted.__contains__)
        for sample in tariterators.group_by_keys(files):
            if "json" not in sample:
                raise EOFError(f"ends before {sample['__key__']}.json")
            yield sample["__key__"], sample["wav"], sample["json"]


def _opened(url: str, ranges: bool = True) -> Any:
    """A file-like object; of an http server it asks blocks, or with `ranges` false the whole in one stream."""
    import fsspec

    if not url.startswith(("http://", "https://")):
        files, path = fsspec.core.url_to_fs(url)
        return files.open(path, "rb")
    import aiohttp

    # By default the whole of an answer must come in five minutes, but a stream is read as training needs it.
    patient = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    files, path = fsspec.core.url_to_fs(url, client_kwargs={"timeout": patient})
    return files.open(path, "rb", block_size=None if ranges else 0)


def _is_absent(error: Exception) -> bool:
    """Whether there is no such file; fsspec says so of every http request that failed, and keeps why as the cause."""
    if not isinstance(error, FileNotFoundError):
        return False
    return error.__cause__ is None or getattr(error.__cause__, "status", None) == 404


def _cause(error: BaseException) -> str:
    """What happened, in one line."""
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = str(error.args[0]) if error.args else ""
    return " ".join(first.partition(" @ <")[0].split()) or type(error).__name__  # WebDataset adds the open file


_TAR_HEADER = 512
_REMEDY = f"copy it there again, or delete it where it was packed and run the same {PACK} again"
