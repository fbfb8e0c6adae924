"""metrics.csv: what is logged comes back, also after a resume."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import ModelCheckpoint

from common.errors import RunError
from experiments.loggers.csv_logger import MetricsLogger, read_rows
from tests.support.tiny import TinyData, tiny_model, tiny_trainer

NAMES = st.sampled_from(["train/loss", "val/loss", "train/lr", "val/text_to_audio/mAP@10", "a,b", 'say "x"'])
ROWS = st.lists(st.dictionaries(NAMES, st.floats(width=32), min_size=1), max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS, more=ROWS)
def test_metrics_come_back_as_they_were_also_after_a_resume(tmp_path: Path, rows: list[Any], more: list[Any]) -> None:
    (tmp_path / "metrics.csv").unlink(missing_ok=True)
    expected: list[dict[str, float]] = []
    for part in (rows, more):
        logger = MetricsLogger(tmp_path, "metrics.csv", resume=part is more, flush_every=3)
        for metrics in part:
            logger.log_metrics(metrics, step=len(expected))
            expected.append({"step": len(expected), **metrics})
        logger.finalize("success")
    path = tmp_path / "metrics.csv"
    assert path.exists() == bool(expected)
    if expected:
        found = read_rows(path)
        assert [set(row) for row in found] == [set(row) for row in expected]
        for row, theirs in zip(found, expected, strict=True):
            assert row == pytest.approx(theirs, nan_ok=True, rel=0, abs=0)


def test_the_file_is_written_at_each_evaluation_and_every_few_rows(tmp_path: Path) -> None:
    logger = MetricsLogger(tmp_path / "exp" / "3", "metrics.csv", flush_every=3)
    written = []
    for step, name in enumerate(["train/loss", "val/loss", "train/loss", "train/loss", "train/loss", "train/loss"]):
        logger.log_metrics({name: 0.5, "epoch": 0}, step)
        written.append(len(read_rows(logger.path)) if logger.path.exists() else 0)
    assert written == [0, 2, 3, 3, 3, 6]
    assert logger.path.read_text().splitlines()[0] == "epoch,step,train/loss,val/loss"
    assert (logger.name, logger.version, logger.log_dir) == ("exp", "3", str(tmp_path / "exp" / "3"))


def test_a_run_that_died_after_its_checkpoint_logs_each_step_once_when_resumed(tmp_path: Path) -> None:
    def fit(*, resume: bool, **options: Any) -> None:
        keep = ModelCheckpoint(dirpath=tmp_path, save_last=True, enable_version_counter=False)
        logger = MetricsLogger(tmp_path, "metrics.csv", resume=resume)
        trainer = tiny_trainer(
            tmp_path, logger=[logger], callbacks=[keep], enable_checkpointing=True, log_every_n_steps=1, **options
        )
        last = tmp_path / "last.ckpt" if resume else None
        trainer.fit(tiny_model(), datamodule=TinyData(train=8), ckpt_path=last, weights_only=resume or None)

    fit(resume=False, max_epochs=2)
    logger = MetricsLogger(tmp_path, "metrics.csv", resume=True)
    first = read_rows(logger.path)
    steps = 1 + int(first[-1]["step"])
    for step in (steps, steps + 1):  # of an epoch that was not finished
        logger.rows.append({"epoch": 2.0, "step": step, "train/loss": 99.0})
    logger.finalize("failed")
    fit(resume=True, max_epochs=3)
    rows = read_rows(logger.path)
    assert rows[: len(first)] == first
    trained = [row["step"] for row in rows if "train/loss" in row]
    assert trained == list(range(steps // 2 * 3))
    assert 99.0 not in [row.get("train/loss") for row in rows]
    assert [row["epoch"] for row in rows if "val/loss" in row] == [0, 1, 2]


def test_results_of_an_earlier_test_go_when_training_continues(tmp_path: Path) -> None:
    logger = MetricsLogger(tmp_path, "metrics.csv")
    for step, name in ((9, "train/loss"), (11, "val/loss"), (12, "test/text_to_audio/R@1")):
        logger.log_metrics({name: 0.5}, step)
    goes_on = MetricsLogger(tmp_path, "metrics.csv", resume=True)
    goes_on.log_metrics({"train/loss": 0.25}, 19)  # with every tenth step logged
    assert [row["step"] for row in goes_on.rows] == [9, 11, 19]
    tested = MetricsLogger(tmp_path, "metrics.csv", resume=True)
    tested.log_metrics({"test/text_to_audio/R@1": 0.75}, 12)
    assert [row for row in tested.rows if row["step"] == 12] == [{"step": 12, "test/text_to_audio/R@1": 0.75}]


@pytest.mark.parametrize("text", ["step,train/loss\n1,high\n", "step\n1,2,3\n", "\x00\n\xff", "", "step\n12\n1"])
def test_a_file_that_is_no_table_of_numbers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"metrics\.csv: not a table of numbers \(.*\); delete it, or repeat the run$"):
        MetricsLogger(tmp_path, "metrics.csv", resume=True)
    assert MetricsLogger(tmp_path, "metrics.csv").rows == []
