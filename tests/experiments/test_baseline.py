"""A run against its baseline, right after its test: what is printed, logged and refused."""

from pathlib import Path
from typing import Any

import pytest

from common.errors import RunError
from experiments.callbacks.against_baseline import BaselineTest
from experiments.callbacks.result_writer import RunWriter
from experiments.comparison.baseline import read_baseline
from experiments.comparison.paired_tests import compare_pair
from experiments.comparison.summaries import Metric
from experiments.loggers.csv_logger import MetricsLogger, read_rows
from experiments.results.experiment import read_experiment
from experiments.run_folder import RunFolder
from tests.support.compared import NAMES, write_run
from tests.support.tabled import Tabled
from tests.support.tiny import tiny_model, tiny_trainer


def run_test(folder: RunFolder, baseline: Path | None, **options: Any) -> None:
    """`test` of a model without training, whose seed is that of its run."""
    callbacks: list[Any] = [RunWriter(folder, folder.path, seed=0)]
    if baseline:
        callbacks.append(BaselineTest(folder, read_baseline(baseline, folder)))
    logger = MetricsLogger(folder.path, "metrics_test.csv")
    trainer = tiny_trainer(folder.path, callbacks=callbacks, logger=[logger], **options)
    trainer.test(tiny_model(seed=int(folder.path.name)), datamodule=Tabled(), verbose=False)


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    for seed in (1, 2):
        run_test(RunFolder(tmp_path / "baseline" / str(seed)), None)
    return tmp_path / "baseline"


@pytest.mark.parametrize("one", [False, True])
def test_both_directions_are_printed_and_logged(baseline: Path, one: bool, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder(baseline.parent / "mine" / "3")
    given = baseline / "2" if one else baseline
    run_test(folder, given)
    printed = capsys.readouterr().out
    logged = {name: value for row in read_rows(folder.path / "metrics_test.csv") for name, value in row.items()}
    for direction in ("text_to_audio", "audio_to_text"):
        metric = Metric(direction, "mAP@10")
        test = compare_pair(read_experiment(given), read_experiment(folder.path), metric)
        key = f"test/{direction}/mAP@10/against_baseline"
        assert logged[f"{key}/difference"] == pytest.approx(test.over_queries.difference)
        assert logged[f"{key}/t_over_queries"] == pytest.approx(test.over_queries.t)
        assert logged[f"{key}/p_over_queries"] == pytest.approx(test.over_queries.p)
        assert logged[f"{key}/p_over_recordings"] == pytest.approx(test.over_clips.p)
        name = "baseline/2" if one else "baseline"
        assert f"mine/3 against {name}, {metric}: {100 * test.over_clips.difference:+.2f} points" in printed
    assert "Holm over 2 tests" in printed


def test_a_part_of_the_split_is_not_tested(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_test(RunFolder(baseline.parent / "mine" / "3"), baseline, limit_test_batches=1)
    assert "against baseline" not in capsys.readouterr().out


def test_another_pool_is_refused_before_anything_is_trained(baseline: Path) -> None:
    folder = RunFolder(baseline.parent / "mine" / "3")
    callback = BaselineTest(folder, read_baseline(baseline, folder))
    trainer = tiny_trainer(folder.path, callbacks=[callback], max_epochs=1)
    with pytest.raises(
        RunError, match=r"run.baseline: .*baseline/1 was evaluated on another pool \(12 recordings, .*9,"
    ):
        trainer.fit(tiny_model(), datamodule=Tabled(held_out=9))
    assert trainer.global_step == 0


def test_captions_that_changed_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "0", NAMES, 0, 1.0)
    write_run(tmp_path / "b" / "0", NAMES[::-1], 0, 1.0, manifest="another")
    with pytest.raises(RunError, match="evaluated on different pools"):
        compare_pair(
            read_experiment(tmp_path / "a"), read_experiment(tmp_path / "b"), Metric("text_to_audio", "mAP@10")
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gone", "^run.baseline: .*gone: no such folder; give"),
        ("unfinished", "^run.baseline: .*unfinished: no per-query results of the test split"),
        ("mine", "^run.baseline is .*mine, where this run is; give another"),
        ("mine/3", "^run.baseline is .*mine/3, where this run is; give another"),
    ],
)
def test_a_baseline_that_cannot_be_one_is_refused(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "unfinished" / "0").mkdir(parents=True)
    with pytest.raises(RunError, match=message):
        read_baseline(tmp_path / given, RunFolder(tmp_path / "mine" / "3"))
