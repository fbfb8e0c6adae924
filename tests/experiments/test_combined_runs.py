"""Runs that are fused or reranked: from their pools to a run folder that `compare` reads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from cli.__main__ import main
from common.errors import RunError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from experiments.combined.combinations import parsed_weights
from experiments.results.experiment import read_experiments
from experiments.results.pool_file import read_pool, write_pool
from tests.support.command_line import refused
from tests.support.compared import NAMES, changed, plain_scores, rewrite, said, write_run

VALIDATION = [f"validation {name}" for name in NAMES[:12]]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with runs a/0 and b/0 that were tested and validated; b is the better one."""
    monkeypatch.chdir(tmp_path)
    for name, seed, signal in (("a", 1, 1.0), ("b", 2, 2.0)):
        write_run(Path(name) / "0", NAMES, seed, signal)
        write_run(Path(name) / "0", VALIDATION, seed + 10, signal, split="validation")
    return tmp_path


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


def matrix(pool: EmbeddingPool) -> np.ndarray:
    pool = pool.in_order()
    return (pool.text @ pool.audio.T).numpy()


def counted(scores: np.ndarray, pool: EmbeddingPool) -> np.ndarray:
    """AP@10 of each caption, counted."""
    own = scores[np.arange(len(scores)), pool.in_order().caption_audio]
    ranks = 1 + (scores > own[:, None]).sum(1)
    return np.where(ranks <= 10, 1 / ranks, 0)


def reached(folder: str, metric: str = "mAP@10", direction: str = "text_to_audio", split: str = "test") -> np.ndarray:
    """A metric of each query, by id."""
    return read_experiments([Path(folder)], split)[0].directions[direction].scores[metric][0]


def test_a_fusion_is_the_weighted_mean_of_both_matrices(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("fuse", "a", "b/0", "--weights", 1, 3, "--output", "fused/0")
    out = capsys.readouterr().out
    assert "weights: 0.25 a/0, 0.75 b/0 (1 3)" in " ".join(out.replace("a\n", "a ").split())
    pools = [read_pool(Path(name) / "0" / "pool_test.safetensors") for name in "ab"]
    expected = counted(0.25 * matrix(pools[0]) + 0.75 * matrix(pools[1]), pools[0])
    np.testing.assert_allclose(reached("fused"), expected)
    assert reached("fused").mean() > reached("a").mean()
    facts = json.loads(Path("fused/0/provenance.json").read_text())["test"]
    assert (facts["combined"], facts["method"], facts["weights"]) == ("fusion", "mean", [0.25, 0.75])
    assert [each["folder"] for each in facts["runs"]] == ["a/0", "b/0"]
    assert "fused against a, text to audio mAP@10: +" in said(capsys, "a", "b", "fused")


def test_a_fusion_is_evaluated_by_known_relevance_too(runs: Path) -> None:
    relevance = torch.rand(len(NAMES), len(NAMES), generator=torch.Generator().manual_seed(3))
    pools = [read_pool(Path(name) / "0" / "pool_test.safetensors") for name in "ab"]
    for name, pool in zip("ab", pools, strict=True):
        rows = [NAMES.index(each) for each in pool.names]
        pool.relevance = relevance[rows][:, rows]
        write_pool(Path(name) / "0" / "pool_test.safetensors", evaluate("test", pool))
    run("fuse", "a", "b", "--weights", "equal", "--output", "fused/0")
    scores = (matrix(pools[0]) + matrix(pools[1])) / 2
    ordered = pools[0].in_order()
    assert ordered.relevance is not None
    gains = ordered.relevance.numpy()[ordered.caption_audio]
    discounts = 1 / np.log2(np.arange(2, 12))
    found = np.take_along_axis(gains, np.argsort(-scores, 1)[:, :10], 1) @ discounts
    np.testing.assert_allclose(reached("fused", "nDCG@10"), found / (-np.sort(-gains, 1)[:, :10] @ discounts))


def test_a_fused_run_can_be_fused_and_intersected_again(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("fuse", "a", "b", "--weights", "equal", "--output", "once/0")
    run("fuse", "once", "a", "--weights", 2, 1, "--output", "twice/0")
    pools = [read_pool(Path(name) / "0" / "pool_test.safetensors") for name in "ab"]
    expected = counted(2 / 3 * matrix(pools[0]) + 1 / 3 * matrix(pools[1]), pools[0])
    np.testing.assert_allclose(reached("twice"), expected)
    write_run(runs / "c" / "0", NAMES[6:], 5, 1.0)
    assert "Evaluated again on the 20 recordings" in said(capsys, "once", "c", "--intersect")


@pytest.mark.parametrize("method", ["mean", "ranks"])
def test_two_equal_runs_make_the_same_run(runs: Path, method: str) -> None:
    shutil.copytree("b", "copy")
    run("fuse", "b", "copy", "--method", method, "--output", "fused/0")
    ours, theirs = (pq.read_table(f"{name}/0/queries_test.parquet").to_pylist() for name in ("fused", "b"))
    for one, other in zip(ours, theirs, strict=True):
        assert {key: one[key] for key in one if key != "top10_scores"} == {
            key: other[key] for key in other if key != "top10_scores"
        }


def test_weights_are_searched_on_the_validation_split(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = read_pool(Path("a/0/pool_validation.safetensors"))
    noise.audio = noise.audio[torch.arange(len(noise.audio)).flip(0)]  # the run is wrong there, and right in the test
    write_pool(Path("a/0/pool_validation.safetensors"), evaluate("validation", noise))
    run("fuse", "a", "b", "--output", "fused/0")
    facts = json.loads(Path("fused/0/provenance.json").read_text())["test"]
    assert facts["weights"][1] > 0.8
    assert "searched on validation, text to audio mAP@10" in capsys.readouterr().out
    pools = [read_pool(Path(name) / "0" / "pool_validation.safetensors") for name in "ab"]
    steps = [n / 10 for n in range(11)]
    best = max(counted(w * matrix(pools[0]) + (1 - w) * matrix(pools[1]), pools[0]).mean() for w in steps)
    assert reached("fused", split="validation").mean() == pytest.approx(best)


def test_a_search_never_sees_the_test_split(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "fuse", "a", "b", "--output", "fused/0", "--weights", "test") == (
        "error: --weights test: weights are never searched on the test split, whose results would then be their own; "
        "give validation, equal, or one number for each run"
    )
    for seed, name in enumerate("ab"):  # a leak: the validation split is the test split
        write_run(Path(name) / "0", NAMES, seed, 1.0, split="validation")
    message = refused(capsys, "fuse", "a", "b", "--output", "fused/0")
    assert "26 validation recordings are test recordings too ('a.wav'): weights searched on them would see" in message
    assert not Path("fused").exists()


def test_a_run_without_a_validation_pool_is_told_how_to_get_one(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("b/0/pool_validation.safetensors").unlink()
    assert refused(capsys, "fuse", "a", "b", "--output", "fused/0") == (
        "error: b/0: has no embeddings of its validation split, on which weights are searched; get them with `python "
        "train.py validate --config b/0/config_fit.yaml`, or give --weights equal"
    )
    run("fuse", "a", "b", "--output", "fused/0", "--weights", "equal")
    assert not Path("fused/0/queries_validation.parquet").exists()


def test_runs_on_other_recordings_are_refused_or_intersected(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_run(runs / "c" / "0", NAMES[6:], 5, 1.0)
    message = refused(capsys, "fuse", "a", "c", "--output", "fused/0", "--weights", "equal")
    assert "were evaluated on different test pools (26 and 20 recordings, 20 in common); take those they" in message
    run("fuse", "a", "c", "--output", "fused/0", "--weights", "equal", "--intersect")
    shared = {*NAMES[6:]}
    pools = [read_pool(Path("a/0/pool_test.safetensors")).only(shared), other]
    expected = counted((matrix(pools[0]) + matrix(pools[1])) / 2, pools[0])
    np.testing.assert_allclose(np.sort(reached("fused")), np.sort(expected))


def test_reranking_moves_candidates_alone(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("rerank", "a", "b", "--output", "reranked/0", "--top", 5, "--weight", 1)
    first = read_pool(Path("a/0/pool_test.safetensors"))
    ranks, _ = plain_scores(first)
    moved = read_experiments([Path("reranked")])[0].directions["text_to_audio"].first_rank[0]
    assert np.array_equal(moved > 5, ranks > 5)
    assert np.array_equal(moved[ranks > 5], ranks[ranks > 5])
    assert not np.array_equal(moved, ranks)
    run("rerank", "a", "b", "--output", "same/0", "--weight", 0)
    assert np.array_equal(reached("same"), reached("a"))
    facts = json.loads(Path("reranked/0/provenance.json").read_text())
    assert (facts["test"]["top"], facts["test"]["weight"]) == (5, 1.0)
    assert facts["validate"]["combined"] == "reranking"
    message = refused(capsys, "fuse", "reranked", "a", "--output", "fused/0", "--weights", "equal")
    assert "scores by more than a product of embeddings (RerankedScores)" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fuse", "a", "--output", "f/0"), "a/0: is the only run; give at least two to fuse"),
        (("fuse", "a", "a/0", "--output", "f/0"), "a/0: given twice; name each run once"),
        (("fuse", "a", "gone", "--output", "f/0"), "gone: no such folder"),
        (("fuse", "a", "b", "--output", "a/0"), "a/0: holds something already (pool_test.safetensors); delete it"),
        (("fuse", "a", "b", "--output", "f/0", "--weights", "1"), "--weights 1: give validation, equal, or 2 numbers"),
        (
            ("fuse", "a", "b", "--output", "f/0", "--method", "ranks", "--weights", "equal"),
            "--weights goes with --method mean",
        ),
        (("rerank", "a", "b", "--output", "f/0", "--top", "0"), "top is 0: give at least 1 candidate"),
        (("rerank", "a", "b", "--output", "f/0", "--weight", "2"), "the weight of the second method is 2.0"),
    ],
)
def test_mistakes_end_in_one_line(
    runs: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, *arguments)
    assert not Path("f").exists()


def test_an_experiment_stands_for_all_its_runs_and_reranking_takes_one(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(runs / "a" / "1", NAMES, 6, 1.0)
    run("fuse", "a", "--weights", "equal", "--output", "seeds/0")
    assert [each["folder"] for each in json.loads(Path("seeds/0/provenance.json").read_text())["test"]["runs"]] == [
        "a/0",
        "a/1",
    ]
    assert "a and b: hold 3 runs; give one run each" in refused(capsys, "rerank", "a", "b", "--output", "f/0")


def test_a_pool_of_another_test_is_refused(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(runs / "c" / "0", NAMES[6:], 5, 1.0)
    shutil.copy("c/0/queries_test.parquet", "a/0/queries_test.parquet")
    message = refused(capsys, "fuse", "a", "b", "--output", "f/0", "--weights", "equal")
    assert message.startswith("error: a/0/queries_test.parquet: holds other queries than pool_test.safetensors; run")


def without(column: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([column])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (without("query_id"), "column query_id of type int64 is missing"),
        (lambda table: changed(table, "query", 3, None), "column query has gaps"),
        (lambda table: changed(table, "AP@10", 0, 3.0), "AP@10 of query 0 of text_to_audio is 3.0"),
        (lambda table: table.slice(0, 3), "direction audio_to_text is missing"),
    ],
)
def test_results_that_no_test_writes_are_refused(
    runs: Path, change: Callable[[pa.Table], pa.Table], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(Path("a/0/queries_test.parquet"), change)
    expected = f"error: a/0/queries_test.parquet: is not what a test writes ({fault}); run `python train.py test` again"
    assert refused(capsys, "fuse", "a", "b", "--output", "f/0", "--weights", "equal") == expected
    assert refused(capsys, "compare", "a", "b") == expected


def test_the_output_is_a_folder_of_its_own(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fuse = ("fuse", "a", "b", "--weights", "equal", "--output")
    assert refused(capsys, *fuse, "a").startswith("error: a: holds something already (0); delete it, or give")
    Path("mine").mkdir()
    Path("mine/pool_test.safetensors").write_text("my own")
    assert "mine: holds something already (pool_test.safetensors)" in refused(capsys, *fuse, "mine")
    assert Path("mine/pool_test.safetensors").read_text() == "my own"
    Path("a/0/config_fit.yaml").write_text("seed_everything: 0")
    assert refused(capsys, *fuse, "a/fused") == (
        "error: a/fused: would count as another seed of the runs in a (such as 0); give --output a folder such as "
        "runs/fused/0"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_combination_is_written_whole_or_not_at_all(
    runs: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []

    def write(path: Path, *rest: object) -> None:
        written.append(path.name)
        if path.name == "queries_test.parquet":
            raise error
        path.write_text("")

    monkeypatch.setattr("experiments.combined.combined_run.write_queries", write)
    assert main(["rerank", "a", "b", "--output", "f/0"]) == (1 if isinstance(error, OSError) else 130)
    assert written == ["queries_validation.parquet", "queries_test.parquet"]
    assert not Path("f").exists()


@pytest.mark.parametrize("words", [["1", "x"], ["1", "2", "3"], ["-1", "2"], ["0", "0"], ["nan", "1"], ["inf", "1"]])
def test_what_are_no_weights(words: list[str]) -> None:
    with pytest.raises(RunError, match="give validation, equal, or 2 numbers >= 0, one for each run, not all 0"):
        parsed_weights(words, 2)
