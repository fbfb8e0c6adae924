"""The callback that fills a Weights & Biases run with more than curves.

What a run logs as numbers goes to all its loggers, and pictures to TensorBoard too (`Pictures`). Here is what only W&B
shows: a table with audio players after the test, settings and provenance, and artifacts.
"""

import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import WandbLogger

from common.atomic_files import replacing
from evaluation.metrics import lower_is_better
from experiments.callbacks.checkpoints import RunCheckpoint
from experiments.callbacks.harmless import harmless
from experiments.loggers.csv_logger import read_rows
from experiments.loggers.wandb_logger import id_file
from experiments.provenance import git_state, package_versions, read_provenance
from experiments.results.example_retrievals import example_rows, write_excerpt
from experiments.results.pool_file import with_names
from experiments.run_folder import RunFolder


class Dashboard(L.Callback):
    """Logs tables, settings and artifacts to the W&B run among the trainer's loggers; without one, nothing.

    It stands after `RunWriter` among the callbacks, whose files it uploads. A failure here becomes a warning. W&B
    shows what is logged here at the step of the numbers logged last, those of the same evaluation.

    Args:
        folder: the run folder.
        code: the folder whose git commit is noted.
        config: every setting, resolved.
        job_type: "fit", "test" or "validate".
        keep_checkpoint: whether the best checkpoint is kept as an artifact.
    """

    def __init__(
        self, folder: RunFolder, code: Path, config: Mapping[str, Any], job_type: str, *, keep_checkpoint: bool
    ) -> None:
        self.folder, self.code, self.config, self.job_type = folder, code, config, job_type
        self.keep_checkpoint = keep_checkpoint
        self.run: Any = None  # stays None on other ranks
        self._best: dict[str, Any] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Log the settings, and what is known of code and data."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if not trainer.is_global_zero or not loggers:
            return
        self.run = loggers[0].experiment
        with harmless("settings"):
            if self.job_type == "fit":
                with replacing(id_file(self.folder)) as beside:
                    beside.write_text(self.run.id + "\n")
            elif id_file(self.folder).is_file():
                self.run.config.update({"fit_run_id": id_file(self.folder).read_text().strip()}, allow_val_change=True)
            tables = trainer.datamodule.tables  # type: ignore[attr-defined]
            self.run.config.update({**self.config, "provenance": self._provenance(tables)}, allow_val_change=True)

    def _provenance(self, tables: Mapping[str, Any]) -> dict[str, Any]:
        data = {
            split: {name: value for name, value in table.manifest().items() if name != "missing"}  # may be thousands
            for split, table in tables.items()
        }
        return {"git": git_state(self.code), "versions": package_versions(), "data": data}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the best values so far."""
        if self.run is not None and trainer.state.fn == "fit" and not trainer.sanity_checking:
            with harmless("best values"):
                self.run.summary.update(best_values(read_rows(self.folder.metrics)))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log a table of example queries with what was retrieved for them."""
        if self.run is None:
            return
        with harmless("table of examples"), tempfile.TemporaryDirectory() as folder:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            model: Any = pl_module
            table = data.tables["test"]
            if len(model.evaluation.pool.audio_ids) < len(table.audio):  # `RunWriter` keeps no results of a part
                return
            relevance = model.relevance if model.relevance_is_ready else None
            rows = example_rows(with_names(model.evaluation, table), relevance, data.graded_relevance("test"))
            self.run.log({"test/retrieved": audio_table(rows, audio_paths(table), Path(folder))})

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the best value of the monitored metric."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, RunCheckpoint):
                self._best = {"monitor": callback.monitor, "value": callback.state_dict()["best_model_score"]}

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """End the run as failed."""
        self._finish(exit_code=1)

    def close(self) -> None:
        """Upload the run's files, end the run, and print where it is."""
        if self.run is not None:
            with harmless("artifacts"):
                self._log_artifacts()
        self._finish(exit_code=0)

    def _finish(self, exit_code: int) -> None:
        if self.run is None:
            return
        run, self.run = self.run, None
        with harmless("clean end"):
            run.finish(exit_code=exit_code)
        if run.offline:
            # A resumed run has a folder for each part; W&B uploads them in order.
            parts = sorted((self.folder.path / "wandb").glob(f"*run-*-{run.id}"))
            print(f"Weights & Biases: written offline; upload it with: wandb sync {shlex.join(map(str, parts))}")
        elif run.url:
            print(f"Weights & Biases: {run.url}")

    def _about_checkpoint(self) -> dict[str, Any]:
        checksums = read_provenance(self.folder.path / "provenance.json").get("fit", {}).get("weights_sha256", {})
        return {**self._best, "weights_sha256": checksums.get("best")}

    def _log_artifacts(self) -> None:
        import wandb

        # W&B allows letters, digits, "-", "_" and "." in a name.
        name = re.sub(r"[^\w.-]", "-", f"{self.folder.path.parent.name}-{self.folder.path.name}", flags=re.ASCII)
        results = wandb.Artifact(f"{name}-results", type="results")
        for path in (
            *sorted(self.folder.path.glob("queries_*.parquet")),
            *sorted(self.folder.path.glob("config_*.yaml")),
            self.folder.path / "provenance.json",
            self.folder.metrics,
            self.folder.figure,
        ):
            if path.is_file():
                results.add_file(str(path))
        self.run.log_artifact(results)
        if self.job_type == "fit" and self.keep_checkpoint and self.folder.best.is_file():
            model = wandb.Artifact(f"{name}-model", type="model", metadata=self._about_checkpoint())
            # Gigabytes: neither copied before the upload nor into a cache after it.
            model.add_file(str(self.folder.best), policy="immutable", skip_cache=True)
            self.run.log_artifact(model)


def best_values(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The best of each validation metric so far, as `best/<metric>`, of rows of metrics.csv.

    Beside the last value, which stays under the metric's own name: `define_metric(summary="max")` would put a
    dictionary in its place, which no sweep can optimise.

    >>> best_values([{"val/loss": 2.0, "val/x/R@1": 0.1}, {"val/loss": 3.0, "train/loss": 1.0, "val/x/R@1": 0.2}])
    {'best/val/loss': 2.0, 'best/val/x/R@1': 0.2}
    """
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if name.startswith("val/") and not name.endswith(("/queries", "/items", "/tie_rate")):
                values.setdefault(name, []).append(value)
    return {f"best/{name}": (min if lower_is_better(name) else max)(all_) for name, all_ in values.items()}


def audio_paths(table: Any) -> dict[int, Path]:
    """Files of a split's table by audio id."""
    return dict(zip(table.audio["audio_id"].to_pylist(), map(Path, table.audio["path"].to_pylist()), strict=True))


def audio_table(rows: Sequence[Mapping[str, Any]], paths: Mapping[int, Path], folder: Path) -> Any:
    """A `wandb.Table` of rows with a player instead of `clip_id`; excerpts are written into `folder`, each once."""
    import wandb

    players: dict[int, Any] = {}
    for clip in dict.fromkeys(row["clip_id"] for row in rows):
        excerpt = folder / f"{clip}.mp3"
        write_excerpt(paths[clip], excerpt)
        players[clip] = wandb.Audio(str(excerpt))
    columns: list[str | int] = ["audio" if name == "clip_id" else name for name in rows[0]]
    data = [[players[value] if name == "clip_id" else value for name, value in row.items()] for row in rows]
    return wandb.Table(columns=columns, data=data)
