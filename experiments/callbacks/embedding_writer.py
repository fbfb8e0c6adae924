"""The callback that keeps what `predict` embeds: part by part, so that a killed run continues where it was."""

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from filelock import FileLock, Timeout

from common.errors import RunError
from experiments.results.embeddings_file import (
    STAMP,
    Embeddings,
    Stamp,
    check_nothing_lost,
    embedding_table,
    finite_rows,
    merge_parts,
    parts_folder,
    stamp_of,
    still_valid,
    write_embeddings,
)

PATIENCE = 10.0
"""Seconds to wait for another process that writes the same file."""


class EmbeddingWriter(L.Callback):
    """Writes the embeddings of a data module's recordings to a parquet file.

    Recordings that the file or its parts hold already are left out, if neither they nor the weights have changed. Every
    device writes parts of its own; the first makes one file of them when all is done. A file of another source is not
    overwritten: see `check_nothing_lost`.

    Args:
        path: the file.
        facts: "checkpoint", "audio_weights_sha256" and "audio_encoder" of the model; see `Embeddings`.
        part_seconds: between two parts; at most this much work is lost.
        overwrite: whether a file of another source may be replaced.

    Attributes:
        result: what the file holds in the end; on the first device only.
        total, before: how many recordings there are, and how many of them were embedded before.
    """

    def __init__(
        self, path: Path, facts: Mapping[str, str], part_seconds: float = 30.0, *, overwrite: bool = False
    ) -> None:
        self.path, self.facts, self.part_seconds, self.overwrite = path, dict(facts), part_seconds, overwrite
        self.result: Embeddings | None = None
        self.total = self.before = 0
        self._lock: FileLock | None = None
        self._stamps: dict[str, Stamp] = {}
        self._seconds: dict[str, float] = {}
        self._names: list[str] = []
        self._vectors: list[Any] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Tell the data module what is embedded already.

        Raises:
            RunError: the file cannot be read or is of another source, or another process writes it.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.facts |= {
            "sample_rate": str(data.sample_rate),
            "max_seconds": str(None if data.max_seconds is None else float(data.max_seconds)),
            "precision": str(trainer.precision),
            "unit_length": "true" if getattr(pl_module.matcher, "unit_length", False) else "false",
        }
        if (mix := getattr(data, "mix", "mean")) != "mean":
            self.facts["mix"] = mix
        # Taken before a recording is read: one that is changed meanwhile is embedded again the next time.
        self._stamps = {name: stamp_of(path) for name, path in data.predict_files().items()}
        names: list[str] = []
        if trainer.is_global_zero:
            self._acquire()
            if not self.overwrite:
                check_nothing_lost(self.path, self._stamps, self.facts)
            valid = still_valid(self.path, self._stamps, self.facts, STAMP)
            names = [] if valid is None else valid["name"].to_pylist()
        names = trainer.strategy.broadcast(names)
        data.leave_out(names)
        self.total, self.before = len(self._stamps), len(names)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note how long the recordings are."""
        audio = trainer.datamodule.tables["test"].audio  # type: ignore[attr-defined]
        seconds = audio["frames"].to_numpy() / audio["sample_rate"].to_numpy()
        self._seconds = dict(zip(audio["name"].to_pylist(), seconds.tolist(), strict=True))
        self._last_part = time.monotonic()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take what `predict_step` gave."""
        if outputs:
            vectors = outputs["embeddings"].float().cpu().numpy()
            if vectors.ndim != 2:
                raise RunError(
                    f"{self.path}: the model embeds a recording as {vectors.shape[1]} vectors, and a file of "
                    "embeddings holds one of each; use a matcher of one vector, such as Cosine"
                )
            finite = finite_rows(outputs["names"], vectors)
            self._names += [name for name, kept in zip(outputs["names"], finite, strict=True) if kept]
            if finite.any():
                self._vectors.append(vectors[finite])
        if time.monotonic() - self._last_part >= self.part_seconds:
            self._write_part()

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the rest."""
        self._write_part()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was embedded."""
        self._write_part()
        self._release()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make one file of all parts, when all devices have written theirs."""
        trainer.strategy.barrier("embeddings")
        if trainer.is_global_zero:
            try:
                self.result = merge_parts(self.path, self._stamps, self.facts)
            finally:
                self._release()

    def summary(self) -> str:
        """What was done, in words."""
        assert self.result is not None
        rows, cut, limit = len(self.result.table), self.result.cut(), self.result.facts["max_seconds"]
        parts = [f"{rows} recordings" if rows == self.total else f"{rows} of {self.total} recordings"]
        if self.before:
            parts.append(f"{self.before} of them embedded before")
        if cut:
            parts.append(f"{cut} longer than {float(limit):g} s and embedded by their beginning")
        return f"{self.path}: {', '.join(parts)}"

    def _write_part(self) -> None:
        if self._names:
            table = embedding_table(
                self._names,
                [self._stamps[name] for name in self._names],
                [self._seconds[name] for name in self._names],
                np.concatenate(self._vectors),
            )
            # Unique names, since other devices and an earlier run may have written parts.
            write_embeddings(parts_folder(self.path) / f"{uuid.uuid4().hex}.parquet", Embeddings(table, self.facts))
            self._names, self._vectors = [], []
        self._last_part = time.monotonic()

    def _acquire(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise RunError(f"{self.path}: another process is writing it; wait for it to end") from error
        self._lock = lock

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
