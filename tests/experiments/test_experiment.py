"""Experiments read from their run folders."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from common.errors import RunError
from experiments.comparison.paired_tests import compare_experiments
from experiments.results.experiment import find_runs, read_experiment, read_experiments
from tests.support.compared import NAMES, changed, plain_scores, rewrite, write_run


def test_an_experiment_has_all_its_runs_in_order(tmp_path: Path) -> None:
    pools = [write_run(tmp_path / "x" / str(seed), NAMES, seed, 2.0) for seed in (10, 0, 2)]
    (tmp_path / "x" / "3" / "checkpoints").mkdir(parents=True)
    (tmp_path / "x" / ".hidden").mkdir()
    experiment = read_experiment(tmp_path / "x")
    assert experiment.name == "x"
    assert [run.name for run in experiment.runs] == ["0", "2", "10"]
    assert [folder.name for folder in experiment.skipped] == ["3"]
    assert experiment.own_recordings == (26, 26, 26)
    side = experiment.directions["text_to_audio"]
    assert (len(side.queries), side.pool_size, experiment.directions["audio_to_text"].pool_size) == (78, 26, 78)
    for row, pool in enumerate((pools[1], pools[2], pools[0])):
        ranks, ap = plain_scores(pool)
        np.testing.assert_allclose(side.scores["mAP@10"][row], ap)
        np.testing.assert_allclose(side.scores["R@5"][row], ranks <= 5)
        np.testing.assert_allclose(side.first_rank[row], ranks)
    assert side.queries == tuple(pools[0].in_order().captions)
    recordings = [sorted(NAMES)[clip] for clip in side.clip_ids]
    assert all(f" {name}," in text for name, text in zip(recordings, side.queries, strict=True))
    assert side.relevant == tuple((int(clip),) for clip in side.clip_ids)


def test_rows_may_come_in_any_order(runs: Path) -> None:
    before = read_experiment(runs / "better")
    order = np.random.default_rng(0).permutation(26 + 78)
    rewrite(runs / "better" / "2" / "queries_test.parquet", lambda table: table.take(order))
    after = read_experiment(runs / "better")
    for direction, side in before.directions.items():
        assert side.queries == after.directions[direction].queries
        for metric, scores in side.scores.items():
            np.testing.assert_array_equal(scores, after.directions[direction].scores[metric])


def test_names_tell_experiments_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one/x/0", "two/x/0", "one/y/0"):
        write_run(tmp_path / folder, NAMES, 0, 2.0)
    monkeypatch.chdir(tmp_path)
    paths = [Path("one/x"), Path("one/y/0")]
    assert [experiment.name for experiment in read_experiments(paths)] == ["x", "y/0"]
    paths = [Path("one/x"), Path("two/x"), Path("one/y")]
    assert [experiment.name for experiment in read_experiments(paths)] == ["one/x", "two/x", "one/y"]
    monkeypatch.chdir(tmp_path / "one" / "x" / "0")
    assert read_experiment(Path(".")).name == "x/0"


def test_evaluating_again_on_all_recordings_changes_nothing(runs: Path) -> None:
    paths = [runs / "base_line", runs / "better"]
    for before, after in zip(read_experiments(paths), read_experiments(paths, intersect=True), strict=True):
        for direction, side in before.directions.items():
            for metric, scores in side.scores.items():
                np.testing.assert_allclose(scores, after.directions[direction].scores[metric])


def test_relevant_items_may_be_listed_in_any_order(runs: Path) -> None:
    def turn(table: pa.Table) -> pa.Table:
        return changed(table, "relevant_ids", 80, table["relevant_ids"][80].as_py()[::-1])

    rewrite(runs / "better" / "2" / "queries_test.parquet", turn)
    assert len(read_experiments([runs / "base_line", runs / "better"])) == 2


def test_another_manifest_is_another_pool(runs: Path) -> None:
    write_run(runs / "other" / "0", NAMES, 3, 1.0, manifest="another corpus")
    with pytest.raises(RunError, match=r"other file names \(manifest one corp and another \)"):
        read_experiments([runs / "better", runs / "other"])
    apart = [read_experiment(runs / name) for name in ("better", "other")]
    with pytest.raises(RunError, match="other file names"):
        compare_experiments(apart)


def test_a_run_folder_is_found_before_what_is_in_it(runs: Path) -> None:
    write_run(runs / "better" / "0" / "inner", NAMES, 3, 1.0)
    assert find_runs(runs / "better" / "0", "test") == ([runs / "better" / "0"], [])
