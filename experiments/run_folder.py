"""The run folder `runs/<experiment>/<seed>/`: the paths in it, and what happens to one that exists already."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from common.atomic_files import UNFINISHED
from common.errors import RunError
from evaluation.metrics import lower_is_better

CONFIG = "config_fit.yaml"
"""What a run's saved config is called."""
LONGEST_NAME = 128
"""Characters of an experiment's name: what Weights & Biases takes for a group of runs."""
RUN_TEST = "run `python train.py test`"
"""The remedy where results of a test are missing."""


@dataclass
class RunOptions:
    """Options of a run: where its results go, and what it does besides training.

    Args:
        experiment: name of the run's folder; default: the names of its configs, joined by "+". `{key}` in it stands for
            the value of another setting, as in tau={model.objective.tau}.
        root: the folder of all runs.
        overwrite: whether `fit` may delete an earlier run of the same experiment and seed, and `predict` embeddings of
            another folder, data set, model or length of crops.
        resume: continue an earlier run of the same experiment and seed from its last checkpoint; where it has none
            yet, start from the beginning.
        monitor: which checkpoint is best: lowest "val/loss" (the paper) or highest "val/text_to_audio/mAP@10".
        save_minutes: minutes of training between checkpoints in the middle of an epoch; null: only after validations
            and epochs.
        test_after_fit: whether `fit` ends with a test of the best checkpoint.
        wandb: log to Weights & Biases too; offline where there is no account.
        wandb_project: the project there.
        wandb_checkpoint: whether the best checkpoint is uploaded too (5 GB with the paper's encoders and Adam).
        relevant_clips: for `test`, and the test after `fit`: a csv file of human judgements: queries with all
            recordings that match each (DCASE 2025 task 6: `query,audio_filenames`); the agreement with them is
            reported too.
        ratings: for `validate`: a folder of human ratings (TAU Graded Relevances 2023); the agreement with them is
            reported too. After `fit` the best checkpoint is validated by them, then tested.
        embeddings: for `predict`: the file to write; default: embeddings.parquet in the run folder. What it holds
            already is not embedded again, unless a recording has changed; what was deleted is dropped. A file of
            another folder, data set, model or length of crops is not replaced without `overwrite`.
        baseline: for `test`, and the test after `fit`: a finished run's folder, or an experiment's with all its runs;
            paired tests of the difference are printed and logged.
    """

    experiment: str | None = None
    root: str = "runs"
    overwrite: bool = False
    resume: bool = False
    monitor: str = "val/loss"
    save_minutes: float | None = 30.0
    test_after_fit: bool = True
    wandb: bool = False
    wandb_project: str = "audio-relevance"
    wandb_checkpoint: bool = True
    relevant_clips: str | None = None
    ratings: str | None = None
    embeddings: str | None = None
    baseline: str | None = None

    @property
    def monitor_mode(self) -> str:
        """Whether the best checkpoint has the "min" or the "max" of what is monitored."""
        return "min" if lower_is_better(self.monitor) else "max"


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint with the best monitored value."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint from which a resumed run continues."""
        return self.checkpoints / "last.ckpt"

    @property
    def config(self) -> Path:
        """The resolved settings of `fit`."""
        return self.path / CONFIG

    @property
    def metrics(self) -> Path:
        """All logged values of `fit`, by step."""
        return self.path / "metrics.csv"

    @property
    def figure(self) -> Path:
        """Learning curve and example queries."""
        return self.path / "figure.png"

    def queries(self, split: str) -> Path:
        """Per-query results of a split."""
        return self.path / f"queries_{split}.parquet"

    def pool(self, split: str) -> Path:
        """Embeddings of a split's recordings and captions."""
        return self.path / f"pool_{split}.safetensors"

    @property
    def embeddings(self) -> Path:
        """What `predict` embedded last."""
        return self.path / "embeddings.parquet"

    def search_index(self, audio: Path, cut: str = "") -> Path:
        """Embeddings of a folder's recordings, kept by `audio-relevance search`; `cut` tells other windows apart."""
        place = audio.expanduser().resolve()
        key = hashlib.sha256(str(place).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return self.path / "search" / f"{place.name}-{key}{cut}.arrow"

    def human_judgements(self, split: str) -> Path:
        """How well a split's ranking agrees with human judgements."""
        return self.path / f"human_judgements_{split}.json"

    def check_fit(self, *, overwrite: bool, resume: bool) -> Path | None:
        """Whether `fit` may use the folder; the checkpoint to resume from, None for a new run. Nothing is changed.

        Call it with the lock held, so that no other process writes in between. A run that was killed before its first
        `last.ckpt` is resumed from the beginning.

        Raises:
            RunError: an earlier run is there and neither flag is set, or both are, or what is to be resumed has results
                but no checkpoint to continue from.
        """
        if overwrite and resume:
            raise RunError("run.overwrite and run.resume exclude each other; give one of them")
        if resume:
            if self.last.is_file():
                return self.last
            if self._holds_queries():
                raise RunError(
                    f"{self.path}: holds results, but no {self.last.name} to continue from; replace them with "
                    "--run.overwrite true, or choose another --seed_everything or --run.experiment"
                )
            return None
        if self.holds_results() and not overwrite:
            raise RunError(
                f"{self.path}: holds an earlier run; continue it with --run.resume true, replace it with "
                "--run.overwrite true, or choose another --seed_everything or --run.experiment"
            )
        return None

    def check_foreign(self, checkpoint: Path) -> None:
        """Whether results of `checkpoint` may be written here.

        Raises:
            RunError: it is another run's, and this run has results of its own.
        """
        own = (self.best.resolve(), self.last.resolve())
        if checkpoint.resolve() not in own and self.holds_results():
            raise RunError(
                f"{checkpoint} is not of {self.path}, whose results would be replaced; give the results another place "
                "with --run.experiment, or --run.overwrite true"
            )

    def holds_results(self) -> bool:
        """Whether a checkpoint or results would be lost. A run that was killed before its first has neither."""
        return any(self.path.glob("checkpoints/*.ckpt")) or self._holds_queries()

    def _holds_queries(self) -> bool:
        return any(self.path.glob("queries_*.parquet"))

    def lock(self, patience: float = 20.0) -> FileLock:
        """Lock the folder until the lock is released or the process ends.

        Args:
            patience: seconds to wait for it; a killed process and its data workers may take a while to end.

        Raises:
            RunError: another process has it.
        """
        locks = self.path.parent.parent / ".locks"  # not beside the run: a refused command leaves no folder of it
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{self.path.parent.name}.{self.path.name}.lock")
        try:
            lock.acquire(timeout=patience)
        except Timeout as error:
            raise RunError(
                f"{self.path}: another process is training in it; wait, or choose another --seed_everything or "
                "--run.experiment"
            ) from error
        return lock

    def tidy(self) -> None:
        """Delete what a killed process left half-written; call it with the lock held."""
        for path in [*self.path.glob(UNFINISHED), *self.checkpoints.glob(UNFINISHED)]:
            path.unlink()


def find_run(path: Path) -> RunFolder:
    """The finished run in a run folder, or in an experiment's folder that holds one run.

    Raises:
        RunError: there is none, or there are several.
    """
    inside = [] if RunFolder(path).config.is_file() else sorted(path.glob(f"*/{CONFIG}"))
    runs = [file.parent for file in inside] or [path]
    if len(runs) > 1:
        raise RunError(f"{path}: holds {len(runs)} runs ({', '.join(run.name for run in runs)}); give one of them")
    folder = RunFolder(runs[0])
    if not folder.config.is_file():
        raise RunError(f"{path}: no run (no {CONFIG} in it); give a folder such as runs/demo_listnet/0")
    if not folder.best.is_file():
        raise RunError(f"{folder.best}: no such checkpoint; finish the run with `python train.py fit` first")
    return folder


def check_name(name: str, key: str) -> None:
    """Check that a name can be that of a folder, and stays inside the folder it is meant for.

    Raises:
        RunError: it cannot; the message names `key`, where the name was given.
    """
    if Path(name).name != name or name in ("", ".", "..") or not name.isprintable() or name != name.strip():
        raise RunError(f"{key} is {name!r}: give a plain name without folders or control characters")
    if len(name) > LONGEST_NAME:
        raise RunError(f"{key} has {len(name)} characters: give at most {LONGEST_NAME} ({name[:40]}...)")


def experiment_name(config_paths: Sequence[str | Path]) -> str:
    """Name of an experiment by its configs: `clotho_listnet+small` for clotho_listnet.yaml and small.yaml.

    >>> experiment_name(["configs/clotho_listnet.yaml", "small.yaml"])
    'clotho_listnet+small'
    """
    return "+".join(Path(path).stem for path in config_paths) or "experiment"
