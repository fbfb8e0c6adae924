"""A run's model and the recordings that can be searched with it: from a query to a ranking."""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from common.errors import DataError, RunError
from common.text import one_line
from datamodules.audio_folder import AudioFolder
from datamodules.base import AudioCaptionDataModule
from evaluation.ranks import best_items
from evaluation.scores import Scores
from experiments.callbacks.embedding_writer import EmbeddingWriter
from experiments.callbacks.progress_bar import ProgressBar
from experiments.results.embeddings_file import audio_weights_sha256, read_embeddings
from experiments.results.pool_file import read_pool
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RUN_TEST, RunFolder
from lightning_modules.dual_encoder import DualEncoder
from retrieval.load_run import built

log = logging.getLogger(__name__)

CARRIED_OVER = ("max_seconds", "batch_size", "num_workers", "mix")
"""Settings of the run's data that a folder of recordings takes over."""


class Hit(NamedTuple):
    """A recording that was found: its rank from 1, cosine similarity to the query, name, file and length.

    `path` and `seconds` are None where the file is not here.
    """

    rank: int
    similarity: float
    name: str
    path: Path | None
    seconds: float | None


class Recordings(NamedTuple):
    """What is searched: where it is from, A names, files and lengths in s (None: not here), unit vectors (A, D)."""

    source: str
    names: list[str]
    paths: list[Path | None]
    seconds: list[float | None]
    vectors: npt.NDArray[np.float32]


def best_hits(scores: Scores, recordings: Recordings, top: int) -> list[Hit]:
    """The `top` recordings of A by the scores of one query for all of them, best first; of equals the first is first.

    They are ranked as in an evaluation.
    """
    items, values = best_items(scores, top)  # (1, top)
    return [
        Hit(rank, value, recordings.names[i], recordings.paths[i], recordings.seconds[i])
        for rank, (i, value) in enumerate(zip(items[0].tolist(), values[0].tolist(), strict=True), 1)
    ]


class SearchIndex:
    """A model and the recordings it ranks.

    Args:
        model: of a run.
        recordings: embedded by it.
    """

    def __init__(self, model: DualEncoder, recordings: Recordings) -> None:
        self.model, self.recordings = model, recordings
        self.audio = torch.tensor(recordings.vectors)  # a copy: what Arrow read is not writable, which torch warns of

    def search(self, query: str, top: int) -> list[Hit]:
        """The `top` recordings that fit a query best.

        Raises:
            RunError: the query is empty.
        """
        if not query.strip():
            raise RunError("the query is empty; say in words what you want to hear")
        if self.model.text_encoder.count_cut([query.strip()]):
            log.warning("the query is longer than what the text encoder reads; its end changes nothing, shorten it")
        with torch.inference_mode():
            text = self.model.embed_text([query.strip()]).cpu()  # (1, D)
            scores = self.model.matcher.pool_scores(text, self.audio)
        return best_hits(scores, self.recordings, top)


def embedded_folder(folder: RunFolder, config: dict[str, Any], model: DualEncoder, audio: Path) -> Recordings:
    """Recordings in a folder; what is new or was changed since the last time is embedded, and kept in the run folder.

    What was kept and cannot be read, or is of other weights, is made again.

    Raises:
        DataError: there is no such folder, or no audio in it.
        RunError: no recording could be embedded, or another process does the same.
    """
    settings = (config.get("data") or {}).get("init_args") or {}
    root = audio.expanduser().resolve()
    data = AudioFolder(str(root), **{name: settings[name] for name in CARRIED_OVER if name in settings})
    facts = {
        "checkpoint": str(folder.best),
        "audio_weights_sha256": audio_weights_sha256(model.state_dict()),
        "audio_encoder": json.dumps(config["model"].get("pair") or config["model"]["audio_encoder"], sort_keys=True),
    }
    index = folder.search_index(root)
    _drop_damaged(index)
    writer = EmbeddingWriter(index, facts, overwrite=True)
    trainer = L.Trainer(
        devices=1,
        precision="32-true",  # as a query is embedded
        callbacks=[writer, ProgressBar()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.predict(model, datamodule=data, return_predictions=False)
    print(f"index: {writer.summary()}")
    assert writer.result is not None
    table = writer.result.table
    names = table["name"].to_pylist()
    paths: list[Path | None] = [root / name for name in names]
    return Recordings(str(root), names, paths, table["seconds"].to_pylist(), writer.result.vectors)


def tested_recordings(folder: RunFolder, config: dict[str, Any], model: DualEncoder) -> Recordings:
    """The recordings that a run was tested on, as its test embedded them, with their files where they are found.

    Raises:
        RunError: the run was not tested, or with other weights.
    """
    path = folder.pool("test")
    if not path.is_file():
        raise RunError(f"{folder.path}: was not tested; give --audio FOLDER, or {RUN_TEST} first")
    pool = read_pool(path)
    with torch.inference_mode():
        vector = model.embed_text(pool.captions[:1])[0].cpu()
    if (
        vector.shape != pool.text[0].shape
        or F.cosine_similarity(vector.flatten(), pool.text[0].flatten(), dim=0) < 0.99
    ):  # tests may run in bfloat16
        raise RunError(f"{path}: embedded with other weights than {folder.best}; {RUN_TEST} again")
    files: dict[str, Path] = {}
    seconds: dict[str, float] = {}
    try:
        data: AudioCaptionDataModule = built(AudioCaptionDataModule, config.get("data"), subclass=True)
        for row in data.read_split("test").audio.to_pylist():
            files[row["name"]] = Path(row["path"]).resolve()
            seconds[row["name"]] = row["frames"] / row["sample_rate"]
    except (DataError, RunError) as error:
        log.warning("%s; so there are names only", one_line(error))
    names = pool.names
    source = f"the test of {folder.path}"
    return Recordings(source, names, [*map(files.get, names)], [*map(seconds.get, names)], pool.audio.numpy())


def example_queries(folder: RunFolder, count: int) -> list[str]:
    """Captions of different recordings out of a run's test, at most `count`; none where it was not tested."""
    try:
        rows = rows_of(read_queries(folder.queries("test")), "text_to_audio")
    except RunError:
        return []
    first = {row["clip_id"]: row["query"] for row in reversed(rows)}
    captions = sorted(set(first.values()))
    return captions[:: -(-len(captions) // count)]


def _drop_damaged(index: Path) -> None:
    """Delete embeddings that cannot be read, and say so: they are there to save time only."""
    if not index.exists():
        return
    try:
        read_embeddings(index)
    except RunError:
        log.warning("%s: cannot be read, so all recordings are embedded again", index)
        index.unlink(missing_ok=True)
