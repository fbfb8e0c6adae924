"""Streamed shards of a tiny packed data set, from a folder or an http server of this machine."""

import contextlib
import functools
import http.server
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from common.errors import DataError
from datamodules.batch import Batch
from datamodules.streamed_shards import StreamedShards
from tests.support.local_server import answering

RATE = 16000
COUNTS = {"train": 47, "validation": 9, "test": 11}
SECONDS = 0.05  # crops


def streamed(
    shards: Path | str, rank: int = 0, ranks: int = 1, workers: int = 0, batch_size: int = 4
) -> StreamedShards:
    data = StreamedShards(
        str(shards), batch_size=4, max_seconds=SECONDS, sample_rate=RATE, shuffle_buffer=5, num_workers=workers, seed=3
    )
    data._ranks = lambda: (rank, ranks)  # type: ignore[method-assign]
    for stage in ("fit", "test"):
        data.setup(stage)
    return data


def epoch_of(data: StreamedShards, epoch: int, done: int = 0) -> list[Batch]:
    loader = data.train_dataloader()
    loader.batch_sampler.resume(epoch, done)  # type: ignore[union-attr]
    return list(loader)


def ids(batches: list[Batch]) -> list[int]:
    return [int(i) for batch in batches for i in batch.audio_ids]


def same(ours: Batch, theirs: Batch) -> bool:
    return (
        torch.equal(ours.waveforms, theirs.waveforms)
        and torch.equal(ours.caption_ids, theirs.caption_ids)
        and (ours.names, ours.captions) == (theirs.names, theirs.captions)
        and torch.equal(ours.audio_ids, theirs.audio_ids)
    )


class Handler(http.server.SimpleHTTPRequestHandler):
    """Python's own server, which sends whole files only; and, made to, parts of them, and halves before it hangs up."""

    ranges, breaks = False, 0

    def send_head(self):  # type: ignore[no-untyped-def]
        begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not (type(self).ranges and begin):
            return super().send_head()
        content = Path(self.translate_path(self.path)).read_bytes()
        part = content[int(begin) : int(end) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {begin}-{int(begin) + len(part) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET" and type(self).breaks:
            type(self).breaks -= 1
            self.close_connection = True
            part = part[: len(part) // 2]
        self.wfile.write(part)

    def log_message(self, *about: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path, ranges: bool = True, breaks: int = 0, port: int = 0) -> Iterator[str]:
    handler = type("Served", (Handler,), {"ranges": ranges, "breaks": breaks})
    with answering(functools.partial(handler, directory=str(folder)), port) as address:
        yield address


def refusal(mistake: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        mistake()
    assert "\n" not in str(caught.value)
    return str(caught.value)
