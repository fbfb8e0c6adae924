"""Renders a corpus of scenes into files in Clotho's layout, with the known relevance beside them."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import soundfile
from rich.progress import track

from common.errors import DataError
from common.processes import end_with_parent
from datamodules.synthesis.captions import write_captions
from datamodules.synthesis.clips import render_clip, to_pcm16
from datamodules.synthesis.scenes import Scene, draw_scene
from datamodules.synthesis.signals import SAMPLE_RATE
from datamodules.synthesis.truth import relevance
from datamodules.synthesis.whole_folder import render_once

#: Clips of each split by default.
CLIPS: Mapping[str, int] = MappingProxyType({"development": 1200, "validation": 200, "evaluation": 300})
#: Raise it with every change that changes a file of the corpus.
GENERATOR_VERSION = 2

CAPTION_COLUMNS = ("file_name", *(f"caption_{i}" for i in range(1, 6)))
METADATA_COLUMNS = ("file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license")
LICENSE = "https://creativecommons.org/publicdomain/zero/1.0/"

_CLIPS_PER_WORKER = 64  # fewer are rendered sooner than another process starts
_MAX_WORKERS = 8


@dataclass(frozen=True)
class Job:
    """One file to render."""

    path: Path
    seed: int
    split: str
    index: int


def render_corpus(root: Path | str, clips: Mapping[str, int] = CLIPS, seed: int = 0, workers: int = 0) -> None:
    """Render a corpus to `root`, unless it is there already.

    Layout (that of Clotho v2.1, and one folder more):
    `clotho_audio_files/SPLIT/*.wav` (16 kHz mono PCM_16, 3 to 6 s), `clotho_csv_files/clotho_captions_SPLIT.csv`
    (UTF-8), `clotho_csv_files/clotho_metadata_SPLIT.csv` (ISO-8859-1, keywords joined by `;`),
    `relevance/relevance_SPLIT.npy`: `(A, A)` float32 graded relevance (see `truth`) in the order of the csv rows, and
    `corpus.json`: the arguments.

    The same arguments give the same bytes with any number of workers. Everything is rendered beside `root` and then
    renamed, so `root` is whole or not there. Processes that render the same root at once do not disturb each other: the
    first to finish wins. A killed one leaves only a hidden folder `.NAME.*.part` beside `root`, which may be deleted.

    Args:
        root: Folder to make; it may exist if it is empty or holds this corpus.
        clips: Split name -> number of clips, at least 1.
        seed: Which corpus; not negative.
        workers: Rendering processes; 1 renders in this one, 0 chooses by clips and cores.

    Raises:
        DataError: `root` holds something else or cannot be written, an argument makes no sense, or a worker died.
    """
    root = Path(root).expanduser().resolve()
    arguments = _arguments(clips, seed, workers)
    try:
        render_once(
            root,
            arguments,
            lambda part: _render_into(part, clips, seed, workers or _automatic_workers(sum(clips.values()))),
        )
    except BrokenProcessPool as error:
        raise DataError(
            f"{root}: a rendering process died; keep the calling script's code under `if __name__ == '__main__'`, "
            "free memory, or render with workers=1"
        ) from error


def describe(seed: int, split: str, index: int) -> tuple[Scene, tuple[str, ...]]:
    """Scene and captions of one clip of a corpus."""
    scene_rng, _, caption_rng = _generators(seed, split, index)
    scene = draw_scene(scene_rng)
    return scene, write_captions(scene, caption_rng)


def render_file(job: Job) -> int:
    """Write the wav file of one clip; returns its length in samples."""
    scene_rng, audio_rng, _ = _generators(job.seed, job.split, job.index)
    pcm = to_pcm16(render_clip(draw_scene(scene_rng), audio_rng))  # (T,)
    soundfile.write(job.path, pcm, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    return len(pcm)


def _generators(seed: int, split: str, index: int) -> list[np.random.Generator]:
    """Independent generators for scene, audio and captions of one clip: none depends on what else is rendered."""
    sequence = np.random.SeedSequence([seed, int.from_bytes(split.encode(), "big"), index])
    return [np.random.default_rng(child) for child in sequence.spawn(3)]


def _arguments(clips: Mapping[str, int], seed: int, workers: int) -> dict[str, Any]:
    if seed < 0 or workers < 0:
        raise DataError(f"seed and workers of a synthetic corpus must not be negative, not {seed} and {workers}")
    for split, count in clips.items():
        if count < 1 or not split.isidentifier():
            raise DataError(
                f"clips of a synthetic corpus: {split!r}: {count}, but a split is a word with at least 1 clip"
            )
    if not clips:
        raise DataError("clips of a synthetic corpus: no split; name at least one, such as development: 100")
    return {"generator_version": GENERATOR_VERSION, "seed": seed, "clips": dict(clips)}


def _render_into(part: Path, clips: Mapping[str, int], seed: int, workers: int) -> None:
    tables, truths = part / "clotho_csv_files", part / "relevance"
    for folder in (tables, truths):
        folder.mkdir()
    jobs = []
    for split, count in clips.items():
        folder = part / "clotho_audio_files" / split
        folder.mkdir(parents=True)
        jobs += [Job(folder / f"{split}_{index:05d}.wav", seed, split, index) for index in range(count)]
    lengths = iter(list(track(_render(jobs, workers), "rendering synthetic clips", len(jobs), transient=True)))
    for split, count in clips.items():
        names = [job.path.name for job in jobs if job.split == split]
        described = [describe(seed, split, index) for index in range(count)]
        scenes = [scene for scene, _ in described]
        captions = [(name, *texts) for name, (_, texts) in zip(names, described, strict=True)]
        _write_csv(tables / f"clotho_captions_{split}.csv", "utf-8", CAPTION_COLUMNS, captions)
        metadata = [  # "Not found" is what Clotho says of a recording that is not on Freesound
            (name, ";".join(event.kind for event in scene.events), "Not found", "Not found", f"[0, {next(lengths)}]",
             "synthetic", LICENSE)
            for name, scene in zip(names, scenes, strict=True)
        ]  # fmt: skip
        _write_csv(tables / f"clotho_metadata_{split}.csv", "iso-8859-1", METADATA_COLUMNS, metadata)
        np.save(truths / f"relevance_{split}.npy", relevance(scenes, scenes))


def _render(jobs: Sequence[Job], workers: int) -> Iterator[int]:
    """Lengths in samples, in the order of `jobs`, as they are rendered."""
    if workers == 1:
        yield from map(render_file, jobs)
        return
    # Spawned, not forked: the caller may hold threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent)
    try:
        yield from pool.map(render_file, jobs, chunksize=8)
    finally:
        pool.shutdown(cancel_futures=True)


def _automatic_workers(clips: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _MAX_WORKERS, clips // _CLIPS_PER_WORKER))


def _write_csv(path: Path, encoding: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
