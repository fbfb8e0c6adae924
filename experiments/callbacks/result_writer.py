"""The callback that fills a run folder after each test: per-query results, provenance, and the table on the screen."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from common.errors import RunError
from common.lightning_loops import finished_epochs
from evaluation.evaluator import Evaluation
from experiments.callbacks.atomic_checkpoint_io import read_state_dict
from experiments.former_run import discard, set_aside
from experiments.provenance import (
    check_same_training,
    git_state,
    package_versions,
    read_provenance,
    training_facts,
    update_provenance,
    weights_sha256,
)
from experiments.results.human_judgements import HumanJudgements, report_agreement
from experiments.results.metrics_table import print_results
from experiments.results.pool_file import with_names, write_pool
from experiments.results.query_table import query_tables, write_queries
from experiments.run_folder import RunFolder
from relevance.base import Relevance

log = logging.getLogger(__name__)

SPLITS = {"test": "test", "validate": "validation"}


class RunWriter(L.Callback):
    """Writes `queries_<split>.parquet` and `provenance.json` and prints the results beside their chance level.

    It reads the model's `evaluation`, the last one, and the data module's `tables`. With human judgements the agreement
    with them is reported as well.
    """

    def __init__(
        self,
        folder: RunFolder,
        code: Any,
        seed: int,
        *,
        resume: bool = False,
        overwrite: bool = False,
        judgements: Sequence[HumanJudgements] = (),
    ) -> None:
        self.folder, self.code, self.seed = folder, code, seed
        self.judgements = {each.split: each for each in judgements}
        self.resume, self.overwrite = resume, overwrite
        self._began = time.monotonic()
        self._about: dict[str, Any] = {}  # what is known of the whole training
        self._part: dict[str, Any] | None = None  # and of what is trained in this process
        self._earlier_parts: list[dict[str, Any]] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start the clock. An earlier run is deleted only now, when data and models are ready.

        Raises:
            RunError: the run cannot be resumed with these data or devices, or the ranks found the folder in different
                states.
        """
        self._began = time.monotonic()
        for split, judgements in self.judgements.items():  # of other data: refused before anything is embedded
            judgements.match(*_annotated(trainer.datamodule, split))  # type: ignore[attr-defined]
        if stage == "fit" and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            # Only the first rank waits for the folder; a killed process may write its first last.ckpt meanwhile.
            if trainer.strategy.broadcast(self.resume) != self.resume:
                raise RunError(
                    f"{self.folder.path}: a process that was ending wrote its first checkpoint while this run began; "
                    "give the same command again"
                )
            if self.resume:
                check_same_training(self.folder.path, self._data(trainer), trainer.world_size, sources_of(pl_module))
            if trainer.is_global_zero:
                if self.resume:
                    self.folder.tidy()
                else:
                    set_aside(self.folder.path, embeddings=self.overwrite)

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start an entry for what is trained in this process; a run that was killed has several."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._earlier_parts = self._known_of_fit().get("parts", [])
        self._about = {"seed": self.seed, "data": self._data(trainer), "sources": sources_of(pl_module)}
        began = datetime.now(UTC).isoformat(timespec="seconds")
        self._part = {**self._facts(trainer), "began": began, "first_step": trainer.global_step}
        self._write_training(trainer)

    @rank_zero_only
    def on_train_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        """Delete an earlier run that was set aside: this one has trained its first step."""
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            discard(self.folder.path)

    @rank_zero_only
    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Bring the entry up to date, since the process may be killed before its end."""
        self._write_training(trainer)

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what is known of the training."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        best = weights_sha256(read_state_dict(self.folder.best, pl_module)) if self.folder.best.is_file() else None
        self._write_training(
            trainer,
            steps=trainer.global_step,
            epochs=finished_epochs(trainer),
            weights_sha256={"final": weights_sha256(pl_module.state_dict()), "best": best},
        )

    def _write_training(self, trainer: L.Trainer, **facts: Any) -> None:
        known = self._known_of_fit()  # where all was trained before, by other processes
        if self._part is not None:
            last = {"last_step": trainer.global_step, "wall_seconds": self._seconds()}
            known = {**self._about, **training_facts(self._earlier_parts, {**self._part, **last})}
        update_provenance(self.folder.path / "provenance.json", "fit", {**known, **facts})

    def _known_of_fit(self) -> dict[str, Any]:
        known: dict[str, Any] = read_provenance(self.folder.path / "provenance.json").get("fit", {})
        return known

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write and print the test's results."""
        self._report(trainer, pl_module, "test")

    @rank_zero_only
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write and print the results of `validate`; not those of the validations inside `fit`."""
        if trainer.state.fn == "validate":
            self._report(trainer, pl_module, "validate")

    def _report(self, trainer: L.Trainer, model: Any, stage: str) -> None:
        split = SPLITS[stage]
        table = trainer.datamodule.tables[split]  # type: ignore[attr-defined]
        evaluation: Evaluation = model.evaluation
        print_results(evaluation, self.folder)
        ranked = len(evaluation.pool.audio_ids)
        if ranked < len(table.audio):
            log.warning("%d of %d recordings were evaluated, so these results are not kept", ranked, len(table.audio))
            return
        evaluation = with_names(evaluation, table)
        metadata = {"split": split, "manifest_sha256": table.manifest()["sha256"]}
        write_pool(self.folder.pool(split), evaluation)
        path = self.folder.human_judgements(split)
        if split in self.judgements:
            about = {**metadata, "checkpoint": str(trainer.ckpt_path or "")}
            evaluation = report_agreement(self.judgements[split], evaluation, path, about)
        else:
            path.unlink(missing_ok=True)  # of an earlier checkpoint
        write_queries(self.folder.queries(split), query_tables(evaluation), metadata)
        facts = {
            **self._facts(trainer),
            "seed": self.seed,
            "wall_seconds": self._seconds(),
            "data": self._data(trainer),
            "checkpoint": str(trainer.ckpt_path or ""),
            "weights_sha256": weights_sha256(model.state_dict()),
        }
        update_provenance(self.folder.path / "provenance.json", stage, facts)

    def _facts(self, trainer: L.Trainer) -> dict[str, Any]:
        return {
            "git": git_state(self.code),
            "versions": package_versions(),
            "device": str(trainer.strategy.root_device),
            "devices": trainer.world_size,
            "threads": torch.get_num_threads(),  # another number sums in another order
            "precision": str(trainer.precision),
            "data_set": getattr(trainer.datamodule, "label", ""),  # type: ignore[attr-defined]
        }

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)

    def _data(self, trainer: L.Trainer) -> dict[str, Any]:
        return {split: table.manifest() for split, table in trainer.datamodule.tables.items()}  # type: ignore[attr-defined]


def sources_of(model: Any) -> dict[str, str]:
    """Checksums of what a model's targets were made from, by name."""
    parts = [part for part in model.relevance.modules() if isinstance(part, Relevance)]
    return {name: sha256 for part in parts for name, sha256 in part.sources().items()}


def _annotated(datamodule: Any, split: str) -> tuple[list[str], list[str]]:
    """Captions and file names of a split, also of one that is not set up."""
    if (table := datamodule.tables.get(split)) is not None:
        return table.captions["caption"].to_pylist(), table.audio["name"].to_pylist()
    captions, audio_ids = datamodule.read_captions()
    ids, names = datamodule.caption_ids(split), datamodule.read_names()
    return [captions[i] for i in ids], [names[i] for i in np.unique(audio_ids[ids])]
