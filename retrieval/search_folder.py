"""A folder's recordings cut into windows and embedded, what is new alone: from files to a search index."""

import logging
import math
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock, Timeout
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from common.errors import DataError, RunError
from datamodules.audio import AudioInfo, read_audio, read_info
from datamodules.audio_folder import recordings_in
from datamodules.batch import Example, collate
from datamodules.mono import Mix
from experiments.results.embeddings_file import Stamp, finite_rows, stamp_of
from lightning_modules.dual_encoder import DualEncoder
from retrieval.search_store import (
    Windows,
    drop_parts,
    parts_folder,
    read_windows,
    still_valid,
    window_table,
    write_windows,
)

log = logging.getLogger(__name__)

PART_SECONDS = 30.0  # at most this much work is lost
PATIENCE = 10.0  # s to wait for another process that makes the same index
REST = 0.05  # of a window: a shorter rest of a recording gets no window of its own


class Window(NamedTuple):
    """A part of a recording: its file, where it begins of all places it can (0 to 1) and in s, how many there are."""

    name: str
    path: Path
    info: AudioInfo
    position: float
    start: float
    of: int


def windows_of(name: str, path: Path, info: AudioInfo, seconds: float | None, hop: float | None = None) -> list[Window]:
    """A recording's windows of `seconds` from its beginning to its end; one where it is shorter.

    Args:
        name, path, info: of the recording.
        seconds: length of a window; None: the whole recording is one.
        hop: from the beginning of a window to that of the next in s; the last one comes sooner, so that it ends with
            the recording. None: as few windows as cover the recording, evenly spaced.

    >>> [w.start for w in windows_of("a", Path("a"), AudioInfo(25, 1), 10.0)]
    [0.0, 7.5, 15.0]
    >>> [w.start for w in windows_of("a", Path("a"), AudioInfo(25, 1), 10.0, hop=4.0)]
    [0.0, 4.0, 8.0, 12.0, 15.0]
    """
    length = info.frames / info.sample_rate
    spare = length - (seconds or length)
    if spare <= 0 or hop is None:
        count = 1 if seconds is None else max(math.ceil(length / seconds - REST), 1)
        positions = [i / max(count - 1, 1) for i in range(count)]
        places = [(at, at * spare if count > 1 else 0.0) for at in positions]
    else:
        starts = [*(i * hop for i in range(max(math.ceil(spare / hop - REST), 1))), spare]
        places = [(start / spare, start) for start in starts]
    return [Window(name, path, info, at, start, len(places)) for at, start in places]


class _WindowDataset(Dataset[Any]):
    def __init__(self, windows: Sequence[Window], sample_rate: int, seconds: float | None, mix: Mix) -> None:
        self.windows, self.sample_rate, self.seconds, self.mix = windows, sample_rate, seconds, mix

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, row: int) -> Example | str:
        window = self.windows[row]
        try:
            audio = read_audio(
                window.path,
                window.info,
                self.sample_rate,
                max_seconds=self.seconds,
                position=window.position,
                mix=self.mix,
            )
        except DataError as error:
            return str(error)
        return Example(audio, row, window.name, [], [])


def embed_windows(
    model: DualEncoder,
    windows: Sequence[Window],
    seconds: float | None,
    batch_size: int,
    num_workers: int,
    mix: Mix = "mean",
) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
    """Rows of `windows` that could be embedded, and their embeddings (b, ...), a batch at a time; others are told."""
    loader = DataLoader(
        _WindowDataset(windows, model.sample_rate, seconds, mix),
        batch_size,
        num_workers=num_workers if len(windows) > batch_size else 0,
        collate_fn=list,
    )
    told: set[str] = set()
    for examples in _tracked(loader, "embedding recordings"):
        for fault in (example for example in examples if isinstance(example, str) and example not in told):
            told.add(fault)
            log.warning("left out: %s", fault)
        readable = [example for example in examples if not isinstance(example, str)]
        if not readable:
            continue
        batch = collate(readable)
        with torch.inference_mode():
            embedded = model.embed_audio(batch.waveforms.to(model.device), batch.lengths.to(model.device))
        vectors = embedded.float().cpu().numpy()
        finite = finite_rows(batch.names, vectors)
        if finite.any():
            yield batch.audio_ids.numpy()[finite].tolist(), vectors[finite]


def cut_name(window: float | None, hop: float | None) -> str:
    """What tells the index of some windows from others of the same folder; empty where none were asked for.

    >>> cut_name(10.0, 2.5), cut_name(None, None)
    ('-10s-2.5s', '')
    """
    return "".join(f"-{value:g}s" if value is not None else "-auto" for value in (window, hop)) if window or hop else ""


def index_folder(
    path: Path,
    root: Path,
    model: DualEncoder,
    facts: Mapping[str, str],
    *,
    seconds: float | None = None,
    hop: float | None = None,
    files: Mapping[str, Path] | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
    mix: Mix = "mean",
) -> tuple[Windows, str]:
    """The index of a folder's recordings: what is new or was changed is embedded, what is gone is dropped.

    Args:
        path: the index's file; what was kept and cannot be read, or is of other weights, is made again.
        root: the folder, read at any depth.
        model: embeds on the device it is on.
        facts: "audio_weights_sha256" and "audio_encoder" of the model.
        seconds: length of a window, at most what the model was trained with; None: recordings are taken whole.
        hop: between windows in s, see `windows_of`.
        files: the recordings by name, where they are not all files of the folder by their paths.
        batch_size, num_workers: of loading.
        mix: what is taken of several channels.

    Returns:
        the index, and what it holds in words.

    Raises:
        DataError: there is no such folder, or no audio in it.
        RunError: no recording could be embedded, the model reads no audio, or another process makes the same index.
    """
    if not model.audio_encoder.reads_audio:
        what = type(model.audio_encoder).__name__
        raise RunError(
            f"{what} reads stored features, no audio files; take a model that reads audio, or search the recordings of "
            "the run's test (`audio-relevance search` without a FOLDER)"
        )
    files = recordings_in(root) if files is None else files
    facts = {**facts, "sample_rate": str(model.sample_rate), "window": str(seconds), "hop": str(hop), "mix": mix}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE):
            return _renewed(path, files, model, facts, seconds, hop, batch_size, num_workers, mix)
    except Timeout as error:
        raise RunError(f"{path}: another process is writing it; wait for it to end") from error


def _renewed(
    path: Path,
    files: Mapping[str, Path],
    model: DualEncoder,
    facts: dict[str, str],
    seconds: float | None,
    hop: float | None,
    batch_size: int,
    num_workers: int,
    mix: Mix,
) -> tuple[Windows, str]:
    # Stamps are taken before a recording is read: one that is changed meanwhile is embedded again the next time.
    stamps = {name: stamp_of(file) for name, file in files.items() if _is_utf8(name)}
    held, current = still_valid(path, stamps, facts)
    before = set() if held is None else set(held.table["name"].to_pylist())
    new: list[Window] = []
    for name in _tracked([name for name in stamps if name not in before], "checking audio"):
        try:
            new += windows_of(name, files[name], read_info(files[name]), seconds, hop)
        except DataError as error:
            log.warning("left out: %s", error)
    rows: list[int] = []
    vectors: list[npt.NDArray[np.float32]] = []
    last_part = time.monotonic()

    def write_part() -> None:
        if rows:
            _write_part(path, [new[row] for row in rows], stamps, np.concatenate(vectors), facts)
            rows.clear()
            vectors.clear()

    try:
        for found, embedded in embed_windows(model, new, seconds, batch_size, num_workers, mix):
            rows += found
            vectors.append(embedded)
            if time.monotonic() - last_part >= PART_SECONDS:
                write_part()
                last_part = time.monotonic()
    finally:
        write_part()
    if new or not current:
        held, _ = still_valid(path, stamps, facts)
        if held is None:
            raise RunError(
                f"{path}: not written, since none of {len(files)} recordings could be embedded; the warnings before "
                "this line say why"
            )
        write_windows(path, held)
        drop_parts(path)
        held = read_windows(path)
    assert held is not None
    return held, f"{path}: {_contents(held, len(files), len(before))}"


def _write_part(
    path: Path,
    windows: Sequence[Window],
    stamps: Mapping[str, Stamp],
    vectors: npt.NDArray[np.float32],
    facts: dict[str, str],
) -> None:
    table = window_table(
        [window.name for window in windows],
        [stamps[window.name] for window in windows],
        [window.info.frames / window.info.sample_rate for window in windows],
        [window.of for window in windows],
        [window.start for window in windows],
        vectors,
    )
    shape = ",".join(map(str, vectors.shape[1:]))
    write_windows(
        parts_folder(path) / f"{time.time_ns()}-{uuid.uuid4().hex}.arrow", Windows(table, {**facts, "shape": shape})
    )


def _contents(held: Windows, files: int, before: int) -> str:
    names = set(held.table["name"].to_pylist())
    hours = float(held.table["seconds"].to_numpy()[held.table["start"].to_numpy() == 0].sum()) / 3600
    count = f"{len(names):,}" if len(names) == files else f"{len(names):,} of {files:,}"
    parts = [f"{count} recordings ({hours:.1f} hours)" if hours >= 0.1 else f"{count} recordings"]
    if before:
        parts.append(f"{before:,} of them embedded before")
    if len(held.table) > len(names):
        parts.append(f"{len(held.table):,} windows of at most {float(held.facts['window']):g} s")
    return ", ".join(parts)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        log.warning("left out: %r: its name is not UTF-8; rename it", name)
        return False
    return True


def _tracked(work: Any, task: str) -> Any:
    return track(work, task, transient=True) if sys.stdout.isatty() and len(work) else work
