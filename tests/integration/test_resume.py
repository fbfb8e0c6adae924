"""A run that is killed at any moment and resumed ends like one that never was, bit for bit; what a full disk does."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.utils.data import DataLoader, Dataset

from common.errors import RunError
from common.lightning_loops import begins_at
from datamodules.batch import Example, collate
from datamodules.sampling.pair_batches import Draw, PairBatchSampler
from experiments.callbacks.atomic_checkpoint_io import AtomicCheckpointIO, read_state_dict
from experiments.callbacks.checkpoints import RunCheckpoint
from experiments.callbacks.result_writer import RunWriter
from experiments.loggers.csv_logger import MetricsLogger
from experiments.provenance import weights_sha256
from experiments.run_folder import RunFolder
from lightning_modules.dual_encoder import DualEncoder
from tests.support.runs import Killed, python
from tests.support.tiny import TinyData, tiny_model, tiny_trainer

BATCHES = 9  # of an epoch of `Cropped`
ALWAYS = 1e-9  # save_minutes: at every step


class Cropped(TinyData):
    """Random crops, drawn by epoch and caption as the real data modules do; notes what was decoded."""

    def __init__(self, workers: int = 0) -> None:
        super().__init__(train=18)
        self.workers = workers
        self.decoded: list[Draw] = []
        self.tables: dict[str, Any] = {}

    def train_dataloader(self) -> Any:
        pairs = [i for i, audio in enumerate(self.audio_of) if audio in self.audio_ids["train"]]
        sampler = PairBatchSampler(np.array(self.audio_of)[pairs], self.batch_size, self.seed)
        sampler.resume(*begins_at(self.trainer))
        dataset = _Crops(self, pairs)
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )


class _Crops(Dataset[Example]):
    def __init__(self, data: Cropped, pairs: list[int]) -> None:
        self.data, self.pairs = data, pairs

    def __getitem__(self, draw: Draw) -> Example:
        self.data.decoded.append(draw)
        caption = self.pairs[draw.row]
        example = self.data.example(self.data.audio_of[caption], [caption])
        example.waveform = example.waveform[np.random.default_rng((draw.epoch, caption)).integers(20) :]
        return example


class Kill(Callback):
    """Stops the training at a moment: what is on the disk then is all that is left.

    A moment is (hook, epoch, number of the batch in it, from 1).
    """

    def __init__(self, folder: Path, moment: tuple[str, int, int]) -> None:
        self.folder, self.moment = folder, moment

    def _now(self, hook: str, trainer: L.Trainer) -> None:
        batch = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if (hook, trainer.current_epoch, batch) == self.moment:
            shutil.copytree(self.folder, left_by(self.folder), dirs_exist_ok=True)
            raise Killed

    def on_train_batch_start(self, trainer: L.Trainer, *rest: Any) -> None:
        self._now("batch start", trainer)

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        self._now("batch end", trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        self._now("validation", trainer)

    def on_validation_end(self, trainer: L.Trainer, *rest: Any) -> None:
        self._now("validation end", trainer)


def left_by(folder: Path) -> Path:
    return folder.with_name(folder.name + " left")


def fit(
    path: Path,
    kill: tuple[str, int, int] | None = None,
    *,
    workers: int = 0,
    save_minutes: float | None = ALWAYS,
    patience: int | None = None,
    **options: Any,
) -> tuple[DualEncoder, Cropped]:
    """Train in `path`, resuming what is there."""
    folder, data, model = RunFolder(path), Cropped(workers), tiny_model(dropout=0.3)
    path.mkdir(exist_ok=True)
    resume = folder.check_fit(overwrite=False, resume=True)
    callbacks: list[Any] = [
        RunCheckpoint(folder.checkpoints, "val/loss", "min", save_minutes),
        RunWriter(folder, path, 0, resume=resume is not None),
    ]
    if kill:
        callbacks.append(Kill(path, kill))
    if patience is not None:  # a loss that falls is the worse one here
        callbacks.append(EarlyStopping("val/loss", patience=patience, mode="max"))
    trainer = tiny_trainer(
        path,
        enable_checkpointing=True,
        callbacks=callbacks,
        logger=[MetricsLogger(path, "metrics.csv", resume=resume is not None)],
        plugins=[AtomicCheckpointIO()],
        **{"max_epochs": 3, "log_every_n_steps": 1, **options},
    )
    trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
    return model, data


def fit_killed(path: Path, kills: list[tuple[str, int, int]], **options: Any) -> None:
    """Train in `path`, killed at each moment in turn, to the end."""
    for kill in kills:
        with pytest.raises(Killed):
            fit(path, kill, **options)
        shutil.rmtree(path)
        left_by(path).rename(path)
    fit(path, **options)


def differences(ours: Any, theirs: Any, key: str = "") -> list[str]:
    """Keys at which two checkpoints differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = {**ours, **theirs}
        return [found for k in keys for found in differences(ours.get(k), theirs.get(k), f"{key}.{k}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [found for i, (a, b) in pairs for found in differences(a, b, f"{key}[{i}]")]
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return [] if torch.equal(ours, theirs) else [key]
    return [] if ours == theirs else [f"{key}: {ours} instead of {theirs}"]


def assert_equal_runs(ours: Path, theirs: Path) -> None:
    """Weights, optimiser, counters and scores in both checkpoints, and every byte of the logged figures."""
    for name in ("best.ckpt", "last.ckpt"):
        contents = [torch.load(path / "checkpoints" / name, weights_only=True) for path in (ours, theirs)]
        assert differences(*contents) == [], name
    assert (ours / "metrics.csv").read_bytes() == (theirs / "metrics.csv").read_bytes()


# ---------------------------------------------------------------------------------------------- killed while training

CASES: dict[str, tuple[list[tuple[str, int, int]], dict[str, Any]]] = {
    "before the first checkpoint": ([("batch start", 0, 1), ("batch end", 0, 5)], {}),
    "with a loading process": ([("batch start", 1, 6)], {"workers": 1}),
    "four times in an epoch": ([("batch end", 1, n) for n in (1, 2, 2, 8)], {}),
    "around the validation": ([("batch end", 0, 9), ("validation", 0, 9), ("validation end", 1, 9)], {}),
    "with few rows": ([("batch end", 0, 7), ("batch end", 1, 3)], {"log_every_n_steps": 4}),
    "only after epochs": ([("batch end", 1, 5), ("validation end", 2, 9)], {"save_minutes": None}),
    "gradients over two": ([("batch end", 0, 5), ("batch start", 1, 2)], {"accumulate_grad_batches": 2}),
    "validations within": (
        [("validation", 0, 4), ("batch end", 1, 5), ("validation", 1, 8)],
        {"val_check_interval": 4},
    ),
    "validations between steps": (
        [("batch end", 0, 4), ("validation end", 1, 3), ("batch start", 1, 5)],
        {"val_check_interval": 3, "accumulate_grad_batches": 2},
    ),
    "validations apart": ([("batch end", 1, 1), ("batch end", 2, 1)], {"check_val_every_n_epoch": 2}),
    "steps given": ([("batch end", 1, 5), ("batch end", 2, 1), ("batch end", 2, 4)], {"max_steps": 2 * BATCHES + 5}),
    "stopped early": ([("batch end", 1, 5), ("validation end", 1, 9)], {"patience": 1}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs that nothing interrupts, each made once."""
    runs: dict[str, Path] = {}

    def run(**options: Any) -> Path:
        options.pop("workers", None)
        if str(options) not in runs:
            runs[str(options)] = tmp_path_factory.mktemp("whole")
            fit(runs[str(options)], **options)
        return runs[str(options)]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_run_killed_and_resumed_ends_like_one_that_was_not(
    tmp_path: Path, whole: Callable[..., Path], name: str
) -> None:
    kills, options = CASES[name]
    fit_killed(tmp_path / "killed", kills, **options)
    assert_equal_runs(tmp_path / "killed", whole(**options))


def test_a_resumed_epoch_decodes_no_batch_twice(tmp_path: Path) -> None:
    _, whole = fit(tmp_path / "whole", max_epochs=2)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", ("batch end", 1, 5), max_epochs=2)
    _, resumed = fit(left_by(tmp_path / "killed"), max_epochs=2)
    done = (BATCHES + 4) * whole.batch_size  # the fifth batch was not finished
    assert resumed.decoded == whole.decoded[done:]


@pytest.mark.parametrize("options", [{}, {"patience": 1}])
def test_a_run_that_has_ended_is_not_trained_further(
    tmp_path: Path, whole: Callable[..., Path], options: dict[str, Any]
) -> None:
    shutil.copytree(whole(**options), tmp_path / "run")
    _, data = fit(tmp_path / "run", **options)
    assert data.decoded == []
    assert_equal_runs(tmp_path / "run", whole(**options))
    before, after = (
        json.loads((path / "provenance.json").read_text()) for path in (whole(**options), tmp_path / "run")
    )
    assert before == after


def test_the_last_checkpoint_is_written_though_it_is_not_the_best(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    keep = RunCheckpoint(folder.checkpoints, "val/loss", "max")  # the loss falls
    trainer = tiny_trainer(tmp_path, max_epochs=3, enable_checkpointing=True, callbacks=[keep])
    trainer.fit(tiny_model(), datamodule=TinyData())
    epochs = [torch.load(path, weights_only=True)["epoch"] for path in (folder.best, folder.last)]
    assert epochs == [0, 2]
    assert keep.best_model_path == str(folder.best)


@pytest.mark.parametrize("minutes", [None, 1000.0])
def test_within_an_epoch_nothing_is_written_before_it_is_time(tmp_path: Path, minutes: float | None) -> None:
    with pytest.raises(Killed):
        fit(tmp_path / "run", ("validation", 0, BATCHES), save_minutes=minutes)
    assert not RunFolder(left_by(tmp_path / "run")).last.exists()


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_minutes_that_are_none_are_refused(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(RunError, match=rf"^run\.save_minutes is {minutes}: give minutes above 0, or null$"):
        RunCheckpoint(tmp_path, "val/loss", "min", minutes)


def test_a_monitored_value_that_is_not_logged_is_named(tmp_path: Path) -> None:
    keep = RunCheckpoint(tmp_path, "val/text_to_audio/nDCG@10", "max")
    trainer = tiny_trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[keep])
    with pytest.raises(
        RunError, match=r"is 'val/text_to_audio/nDCG@10', which the validation did not log; it logged val"
    ):
        trainer.fit(tiny_model(), datamodule=TinyData())


# -------------------------------------------------------------------------------------------- SIGKILL, and a full disk

PROCESS = """
import os, resource, signal, sys
from pathlib import Path
import torch
from lightning.pytorch.callbacks import Callback
from tests.integration import test_resume

class Kill(Callback):
    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == 13:
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "kill":
    test_resume.Kill = lambda *_: Kill()
    test_resume.fit(Path(sys.argv[1]), ("any", 0, 0))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in sys.argv[3:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        test_resume.fit(Path(sys.argv[1]))
    except test_resume.RunError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    weights = {"a": torch.zeros(1_000_000), "b": torch.zeros(9)}
    test_resume.AtomicCheckpointIO().save_checkpoint(weights, Path(sys.argv[1]) / "checkpoints" / "large.ckpt")
except test_resume.RunError as error:
    print(error)
    print(type(error.__cause__).__name__)
"""


@pytest.mark.slow
def test_a_process_ended_by_sigkill_is_resumed(tmp_path: Path, whole: Callable[..., Path]) -> None:
    run = RunFolder(tmp_path / "run")
    assert python(PROCESS, run.path, "kill").returncode == -9
    assert torch.load(run.last, weights_only=True)["global_step"] == 12
    run.last.with_name(".last.4711.part.ckpt").write_bytes(b"half")
    (run.path / ".metrics.4711.part.csv").write_bytes(b"half")
    fit(run.path)
    assert_equal_runs(run.path, whole())
    assert [path.name for path in run.path.rglob(".*")] == []


@pytest.mark.slow
def test_a_full_disk_leaves_the_former_checkpoint_and_says_what_to_do(
    tmp_path: Path, whole: Callable[..., Path]
) -> None:
    run = RunFolder(left_by(tmp_path / "run"))
    with pytest.raises(Killed):
        fit(tmp_path / "run", ("batch end", 0, 3))
    before = run.last.read_bytes()
    limits = [len(before) - 1, len(before) // 2, 100]
    done = python(PROCESS, run.path, "fill", *limits)
    files = [run.last, run.last, run.path / "metrics.csv", run.last.with_name("large.ckpt")]
    end = "cannot be written (File too large); free some space, then continue with --run.resume true"
    told = [f"{file}: {end}" for file in files]
    assert done.stdout.splitlines() == [*told, "RuntimeError"], done.stderr  # of torch's zip writer
    assert run.last.read_bytes() == before
    assert [path.name for path in run.path.rglob(".*")] == []
    fit(run.path)
    assert_equal_runs(run.path, whole())


def test_a_checkpoint_that_cannot_be_pickled_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"(?i)pickle") as caught:
        AtomicCheckpointIO().save_checkpoint({"callback": lambda: None}, tmp_path / "last.ckpt")
    assert not isinstance(caught.value, RunError)
    assert os.listdir(tmp_path) == []


def test_checkpoints_are_loaded_without_trust_unless_asked(tmp_path: Path) -> None:
    keep, path = AtomicCheckpointIO(), tmp_path / "new" / "last.ckpt"
    keep.save_checkpoint({"state_dict": {"a": torch.arange(3.0)}, "step": 4, "path": Path("x")}, path)
    with pytest.raises(Exception, match="Weights only load failed"):
        keep.load_checkpoint(path)
    assert keep.load_checkpoint(path, weights_only=False)["path"] == Path("x")
    keep.save_checkpoint({"state_dict": {"a": torch.arange(3.0)}, "step": 4}, path)
    assert keep.load_checkpoint(path)["step"] == 4
    assert torch.equal(read_state_dict(path)["a"], torch.arange(3.0))
    keep.remove_checkpoint(path)
    keep.remove_checkpoint(path)
    assert os.listdir(path.parent) == []


# -------------------------------------------------------------------------------------------------------- provenance


def test_each_part_of_a_training_has_its_own_entry(tmp_path: Path) -> None:
    kills = [("batch end", 0, 5), ("validation", 1, 9)]
    fit_killed(tmp_path / "run", kills)
    facts = json.loads((tmp_path / "run" / "provenance.json").read_text())["fit"]
    steps = [(part["first_step"], part["last_step"]) for part in facts["parts"]]
    assert steps == [(0, 4), (4, 2 * BATCHES - 1), (2 * BATCHES - 1, 3 * BATCHES)]
    assert facts["wall_seconds"] == pytest.approx(sum(part["wall_seconds"] for part in facts["parts"]), abs=0.06)
    began = [part["began"] for part in facts["parts"]]
    assert sorted(began) == began
    assert all(text.endswith("+00:00") for text in began)
    assert {"git", "versions", "device", "devices", "threads", "precision"} < facts["parts"][0].keys()
    assert (facts["steps"], facts["epochs"]) == (3 * BATCHES, 3)
    folder = RunFolder(tmp_path / "run")
    for name, path in (("final", folder.last), ("best", folder.best)):
        assert facts["weights_sha256"][name] == weights_sha256(read_state_dict(path))


def test_the_checksum_tells_weights_apart_by_name_type_shape_and_value() -> None:
    weights = {"a": torch.arange(6.0), "b": torch.tensor(1)}
    different = [
        {"a": torch.arange(6.0), "c": torch.tensor(1)},
        {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1)},
        {"a": torch.arange(6.0).view(torch.int32), "b": torch.tensor(1)},
        {"a": torch.arange(6.0), "b": torch.tensor(1, dtype=torch.int32)},
        {"a": torch.arange(6.0), "b": torch.tensor(2)},
        {"a": -torch.arange(6.0), "b": torch.tensor(1)},  # zero has a sign
        {"a": torch.arange(6.0)},
    ]
    assert len({weights_sha256(state) for state in (weights, *different)}) == 8
    same = {"b": torch.tensor(1), "a": torch.arange(12.0)[:6].clone().requires_grad_()}
    assert weights_sha256(same) == weights_sha256(weights)
    assert weights_sha256({"a": torch.arange(6.0).reshape(2, 3).T}) == weights_sha256(
        {"a": torch.tensor([[0.0, 3], [1, 4], [2, 5]])}
    )
    assert len(weights_sha256({"a": torch.ones(3, dtype=torch.bfloat16), "b": torch.empty(0)})) == 64
