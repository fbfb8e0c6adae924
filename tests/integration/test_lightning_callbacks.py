"""Every callback that Lightning ships, through the command line: it works, or is refused before anything is written."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch.callbacks import BaseFinetuning, Callback, WeightAveraging
from safetensors.torch import load_file
from torch import Tensor, nn

from experiments.loggers.csv_logger import read_rows
from lightning_modules.dual_encoder import DualEncoder
from tests.support.runs import arguments, fit_killed
from tests.support.tiny import TinyAudio, TinyText
from train import main

pytestmark = pytest.mark.slow
HERE = "tests.integration.test_lightning_callbacks"


class Audio(TinyAudio):
    """A stand-in with statistics of its batches, and a count of them."""

    def __init__(self) -> None:
        super().__init__(dropout=0.1)
        self.norm = nn.BatchNorm1d(self.dim)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        return self.norm(super().forward(waveforms, lengths))


class Text(TinyText):
    """A stand-in with whole numbers that must stay as they are, as BERT's positions."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positions", torch.arange(7))


class Unfreeze(BaseFinetuning):
    """Trains the audio encoder's layer from the second epoch on, at a rate of its own."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.audio_encoder, train_bn=False)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.audio_encoder, optimizer, lr=1e-3)


class EpochAverages(WeightAveraging):
    """Averages once an epoch."""

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return epoch_idx is not None


class Rate(Callback):
    """Sets the learning rate of the heads itself, once."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 3:
            trainer.optimizers[0].param_groups[0]["lr"] = 0.125


class Watch(Callback):
    """Keeps what was in the optimiser and in the model at each step."""

    rates: ClassVar[list[list[float]]] = []
    training: ClassVar[list[bool]] = []
    accumulated: ClassVar[list[int]] = []
    validated: ClassVar[list[dict[str, Tensor]]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        self.training.append(pl_module.audio_encoder.dropout.training)
        self.accumulated.append(trainer.accumulate_grad_batches)

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.validated.append({name: value.clone() for name, value in pl_module.state_dict().items()})


@pytest.fixture(autouse=True)
def _watch() -> None:
    for kept in (Watch.rates, Watch.training, Watch.accumulated, Watch.validated):
        kept.clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callbacks")


def command(folder: Path, name: str, *callbacks: Any, epochs: int = 2, more: tuple[str, ...] = ()) -> list[str]:
    """Options of a run of the stand-ins with callbacks: names, or pairs of name and settings."""
    listed = [
        {"class_path": path, "init_args": settings}
        for path, settings in (one if isinstance(one, tuple) else (one, {}) for one in callbacks)
    ]
    audio, text = ({"class_path": f"{HERE}.{kind}"} for kind in ("Audio", "Text"))
    options = {
        "sentence_bert": "null",
        "model.audio_encoder": json.dumps(audio),
        "model.text_encoder": json.dumps(text),
        "model.relevance": "tests.support.tiny.KindRelevance",
        "model.matcher.embedding_dim": "12",
        "model.optimizer.lr": "0.02",
        "run.experiment": name,
        "trainer.callbacks": json.dumps(listed),
    }
    return [
        *arguments(folder, epochs),
        *(text for key, value in options.items() for text in (f"--{key}", value)),
        *more,
    ]


def run_of(folder: Path, name: str) -> Path:
    return folder / "runs" / name / "0"


def weights(run: Path, name: str = "best") -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return state


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def results_of(run: Path) -> tuple[bytes, list[Any]]:
    """What was written about each query, and the vectors."""
    pool = load_file(run / "pool_test.safetensors")
    return (run / "queries_test.parquet").read_bytes(), [(name, pool[name].tolist()) for name in sorted(pool)]


# ---- averages --------------------------------------------------------------------------------------------------------

EMA = ("EMAWeightAveraging", {"decay": 0.9})


@pytest.mark.parametrize(
    "averaging",
    [EMA, "WeightAveraging", ("EMAWeightAveraging", {"use_buffers": False})],
    ids=["ema", "mean", "buffers"],
)
def test_everything_sees_the_averaged_weights(folder: Path, averaging: Any) -> None:
    name = f"averages {averaging}".replace("/", "")[:40].strip().replace("{", "").replace(" ", "_")
    options = command(folder, name, averaging, f"{HERE}.Watch", more=("--model.objective.learn_tau", "true"))
    assert main(["fit", *options]) == 0
    run = run_of(folder, name)
    after_fit = results_of(run)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    current, averaged = checkpoint["current_model_state"], checkpoint["state_dict"]
    assert not torch.equal(averaged["matcher.audio_head.weight"], current["matcher.audio_head.weight"])
    assert torch.equal(averaged["text_encoder.positions"], torch.arange(7))
    assert averaged["audio_encoder.norm.num_batches_tracked"] == current["audio_encoder.norm.num_batches_tracked"] == 20
    assert_same(Watch.validated[-1], averaged)
    assert main(["test", *options]) == 0
    assert results_of(run) == after_fit
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["test"]["weights_sha256"] == provenance["fit"]["weights_sha256"]["best"]
    rows = [row for row in read_rows(run / "metrics.csv") if "val/loss" in row]
    best = max(range(len(rows)), key=lambda row: float(rows[row]["val/text_to_audio/mAP@10"]))
    assert main(["validate", *options]) == 0
    again = [row for row in read_rows(run / "metrics_validate.csv") if "val/loss" in row][-1]
    for key in ("val/loss", "val/text_to_audio/mAP@10", "val/audio_to_text/mAP@10"):
        assert float(again[key]) == pytest.approx(float(rows[best][key]), rel=1e-6)


def test_averages_are_those_of_the_formula(folder: Path) -> None:
    """A run of three steps, by hand: the first copies, and each later one moves a tenth of the way."""
    states: list[Tensor] = []

    def keep(model: DualEncoder, *_: Any) -> None:
        states.append(model.state_dict()["matcher.audio_head.weight"].clone())

    options = command(folder, "formula", EMA, epochs=1, more=("--trainer.limit_train_batches", "3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DualEncoder, "on_train_batch_end", keep, raising=False)
        assert main(["fit", *options]) == 0
    expected = states[0]
    for state in states[1:]:
        expected = 0.9 * expected + 0.1 * state
    torch.testing.assert_close(weights(run_of(folder, "formula"))["matcher.audio_head.weight"], expected)


def test_until_averaging_begins_the_model_itself_is_evaluated(folder: Path) -> None:
    late = ("EMAWeightAveraging", {"update_starting_at_step": 1000})
    assert main(["fit", *command(folder, "late", late, epochs=1)]) == 0
    assert main(["fit", *command(folder, "plain", epochs=1)]) == 0
    assert_same(weights(run_of(folder, "late")), weights(run_of(folder, "plain")))
    assert results_of(run_of(folder, "late")) == results_of(run_of(folder, "plain"))


@pytest.mark.parametrize(
    ("callbacks", "call"),
    [
        ([EMA], 14),
        ([f"{HERE}.Unfreeze"], 24),
        ([("GradientAccumulationScheduler", {"scheduling": {0: 2, 1: 1, 2: 3}})], 24),
        (
            [
                f"{HERE}.Rate",
                ("lightning.pytorch.callbacks.spike.SpikeDetection", {"rtol": 50.0}),
                ("Timer", {"duration": "00:01:00:00"}),
                ("EarlyStopping", {"monitor": "val/loss", "patience": 9}),
            ],
            14,
        ),
    ],
    ids=["averages", "unfrozen layers", "accumulation", "others"],
)
def test_a_resumed_run_ends_like_one_that_was_not_interrupted(
    folder: Path, request: pytest.FixtureRequest, callbacks: list[Any], call: int
) -> None:
    """Killed in the second of three epochs, or in the third."""
    name = request.node.callspec.id
    whole, run = run_of(folder, f"whole {name}"), run_of(folder, f"killed {name}")
    assert main(["fit", *command(folder, f"whole {name}", *callbacks, epochs=3)]) == 0
    saving = ("--run.save_minutes", "1e-9", "--run.resume", "true")
    options = command(folder, f"killed {name}", *callbacks, epochs=3, more=saving)
    fit_killed(run, "training", options, call=call)
    assert main(["fit", *options]) == 0
    assert_same(weights(run, "last"), weights(whole, "last"))
    assert results_of(run) == results_of(whole)


def test_a_run_is_resumed_with_the_callbacks_that_change_its_steps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *command(folder, "changed", EMA, epochs=1)]) == 0
    resume = ("--run.resume", "true")
    assert main(["fit", *command(folder, "changed", ("EMAWeightAveraging", {"decay": 0.5}), more=resume)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        "cannot be resumed with other callbacks (trainer.callbacks.EMAWeightAveraging.decay: 0.9 before, 0.5" in error
    )
    assert main(["fit", *command(folder, "changed", more=resume)]) == 1
    assert "cannot be resumed with other callbacks" in capsys.readouterr().err
    assert main(["fit", *command(folder, "changed", EMA, "LearningRateMonitor", more=resume)]) == 0


# ---- rates, groups, freezing -----------------------------------------------------------------------------------------


def test_what_a_callback_unfreezes_is_trained_at_its_rate(folder: Path) -> None:
    assert main(["fit", *command(folder, "unfrozen", f"{HERE}.Unfreeze", f"{HERE}.Watch")]) == 0
    assert [len(rates) for rates in Watch.rates] == [1] * 10 + [2] * 10
    assert {rates[1] for rates in Watch.rates[10:]} == {1e-3}  # the schedule leaves it alone
    assert Watch.training == [False] * 10 + [True] * 10
    assert len({rates[0] for rates in Watch.rates}) == 20  # and continues with the others
    first = Watch.validated[0]["audio_encoder.frames.weight"]
    assert not torch.equal(first, Watch.validated[-1]["audio_encoder.frames.weight"])


def test_the_schedule_leaves_a_rate_that_a_callback_set(folder: Path) -> None:
    assert main(["fit", *command(folder, "rated", f"{HERE}.Rate", f"{HERE}.Watch", epochs=1)]) == 0
    assert len({rates[0] for rates in Watch.rates[:3]}) == 3
    assert {rates[0] for rates in Watch.rates[4:]} == {0.125}


def test_gradients_are_accumulated_as_a_callback_says(folder: Path) -> None:
    scheduler = ("GradientAccumulationScheduler", {"scheduling": {0: 5, 1: 2}})
    assert main(["fit", *command(folder, "accumulated", scheduler, f"{HERE}.Watch")]) == 0
    assert Watch.accumulated == [5] * 10 + [2] * 10
    state = torch.load(run_of(folder, "accumulated") / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2 + 5


# ---- those that watch ------------------------------------------------------------------------------------------------


def batch_size(batch: Any) -> int:
    return len(batch.captions)


def test_callbacks_that_watch_change_nothing(folder: Path) -> None:
    watching = {
        "LearningRateMonitor": {},
        "ThroughputMonitor": {"batch_size_fn": f"{HERE}.batch_size", "window_size": 2},
        "DeviceStatsMonitor": {"cpu_stats": True},
        "LambdaCallback": {},
        "OnExceptionCheckpoint": {"dirpath": str(folder / "on exception")},
        "ModelCheckpoint": {"dirpath": str(folder / "checkpoints")},
    }
    assert main(["fit", *command(folder, "unwatched")]) == 0
    assert main(["fit", *command(folder, "watched", *watching.items())]) == 0
    run, plain = run_of(folder, "watched"), run_of(folder, "unwatched")
    assert_same(weights(run), weights(plain))
    assert results_of(run) == results_of(plain)
    keys = {key for row in read_rows(run / "metrics.csv") for key in row}
    for logged in ("lr-Adam", "train/device/", "DeviceStatsMonitor", "train/loss"):
        assert any(key.startswith(logged) for key in keys), keys
    assert list((folder / "checkpoints").glob("*.ckpt"))


def test_a_checkpoint_is_written_when_training_fails(folder: Path) -> None:
    options = command(folder, "failing", ("OnExceptionCheckpoint", {"dirpath": str(folder / "failed")}))

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DualEncoder, "on_train_epoch_end", fail)
        with pytest.raises(ZeroDivisionError):
            main(["fit", *options])
    assert torch.load(folder / "failed" / "on_exception.ckpt", weights_only=True)["global_step"] == 10


def test_early_stopping_and_timer_end_a_training(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopping = ("EarlyStopping", {"monitor": "val/loss", "patience": 1, "mode": "max", "min_delta": 100.0})
    assert main(["fit", *command(folder, "stopped", stopping, epochs=5)]) == 0
    state = torch.load(run_of(folder, "stopped") / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 20
    assert main(["fit", *command(folder, "timed", ("Timer", {"duration": "00:00:00:00"}), epochs=5)]) == 0
    assert "no training step was taken, so nothing is kept or tested" in caplog.text


def test_a_spike_of_the_loss_ends_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spike = ("lightning.pytorch.callbacks.spike.SpikeDetection", {"rtol": None, "atol": None})
    assert main(["fit", *command(folder, "spiked", spike, more=("--model.optimizer.lr", "9"))]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "spike detected" in error
    assert "--run.resume true" in error
    assert json.loads((run_of(folder, "spiked") / "skip_batches.json").read_text())


# ---- those that a run cannot have ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callback", "message", "more"),
    [
        (("StochasticWeightAveraging", {"swa_lrs": 0.01}), "averages only when training is over", ()),
        (("ModelPruning", {"pruning_fn": "l1_unstructured"}), "prunes after an epoch's validation", ()),
        ("LearningRateFinder", "sets a learning rate that model.schedule would replace", ()),
        ("BatchSizeFinder", "changes data.batch_size", ()),
        ("BackboneFinetuning", "unfreezes `model.backbone`, which a DualEncoder does not have", ()),
        (("EMAWeightAveraging", {"update_starting_at_epoch": 1}), "averages after an epoch's validation", ()),
        (f"{HERE}.EpochAverages", "averages after an epoch's validation", ()),
        (f"{HERE}.Unfreeze", "unfreezes encoders that model.cache_frozen looks up", ("--model.cache_frozen", "true")),
        (
            ("GradientAccumulationScheduler", {"scheduling": {0: 2}}),
            r"sets what trainer.accumulate_grad_batches (2) sets too",
            ("--trainer.accumulate_grad_batches", "2"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0] if value else "",
)
def test_a_callback_is_refused_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], callback: Any, message: str, more: tuple[str, ...]
) -> None:
    name = callback if isinstance(callback, str) else callback[0]
    overwriting = ("--run.overwrite", "true", *more)
    earlier = run_of(folder, "earlier")
    if not earlier.exists():
        assert main(["fit", *command(folder, "earlier", epochs=1)]) == 0
    before = {path: path.stat().st_mtime_ns for path in earlier.rglob("*") if path.is_file()}
    assert main(["fit", *command(folder, "earlier", callback, more=overwriting)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: trainer.callbacks: {name.rpartition('.')[2]} ")
    assert message in error
    assert before == {path: path.stat().st_mtime_ns for path in earlier.rglob("*") if path.is_file()}


def test_weights_are_averaged_by_one_callback(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *command(folder, "twice", EMA, "WeightAveraging")]) == 1
    assert "EMAWeightAveraging and WeightAveraging both average weights" in capsys.readouterr().err
