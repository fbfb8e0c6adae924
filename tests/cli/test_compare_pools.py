"""Runs that were evaluated on different pools."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cli.__main__ import main
from common.errors import RunError
from evaluation.evaluator import evaluate
from experiments.results.experiment import check_same_pool, read_experiments
from tests.support.compared import BACK, MAP, NAMES, changed, plain_scores, rewrite, said, two_methods, write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return two_methods(tmp_path)


def test_runs_of_other_pools_are_evaluated_again_on_what_they_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = {
        "a": [write_run(tmp_path / "a" / str(seed), NAMES[:20], seed, 1.0, manifest="a") for seed in (0, 1)],
        "b": [write_run(tmp_path / "b" / "5", NAMES[6:], 8, 2.0, manifest="b")],
    }
    folders = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(RunError) as caught:
        read_experiments([folders[0], folders[1]])
    assert str(caught.value) == (
        f"{tmp_path / 'a' / '0'} and {tmp_path / 'b' / '5'} were evaluated on different pools: query 0 is another text "
        "(18 such queries), text to audio; evaluate all again on the recordings they share with `compare --intersect`"
    )
    experiments = read_experiments(folders, intersect=True)
    shared = set(NAMES[6:20])
    for experiment in experiments:
        side, back = (experiment.directions[metric.direction] for metric in (MAP, BACK))
        assert (side.pool_size, len(side.queries), len(back.queries), back.pool_size) == (14, 42, 14, 42)
        assert back.queries == tuple(sorted(shared))
        for row, pool in enumerate(pools[experiment.name]):
            ranks, ap = plain_scores(pool.only(shared))
            np.testing.assert_allclose(side.scores["mAP@10"][row], ap)
            np.testing.assert_allclose(side.first_rank[row], ranks)
            summary = evaluate("test", pool.only(shared)).rankings["audio_to_text"].summary()
            assert back.scores["mAP@10"][row].mean() == pytest.approx(summary["mAP@10"])
    check_same_pool(experiments)
    out = said(capsys, *folders, "--intersect")
    assert (
        "Evaluated again on the 14 recordings and 42 captions that all runs share; the runs' own pools have 20" in out
    )
    assert "text to audio 42 queries in a pool of 14" in out
    (tmp_path / "b" / "5" / "pool_test.safetensors").unlink()
    assert main(["compare", *(str(folder) for folder in [*folders, "--intersect"])]) == 1
    assert "pool_test.safetensors: no such file; run `python train.py test`" in capsys.readouterr().err
    (tmp_path / "b" / "5" / "pool_test.safetensors").write_bytes(b"rubbish that is no table")
    assert main(["compare", *(str(folder) for folder in [*folders, "--intersect"])]) == 1
    assert "pool_test.safetensors: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda table: pa.concat_tables([table, table.slice(3, 1)]), "query 3 of text_to_audio comes 2 times"),
        (lambda table: changed(table, "AP@10", 7, np.nan), "AP@10 of query 7 of text_to_audio is nan"),
        (lambda table: changed(table, "first_rank", 78, np.nan), "first_rank of query 0 of audio_to_text is nan"),
        (lambda table: changed(table, "R@50", 2, None), "R@50 of query 2 of text_to_audio is nan"),
        (lambda table: changed(table, "nDCG@10", 2, np.inf), "nDCG@10 of query 2 of text_to_audio is inf"),
    ],
)
def test_what_no_test_writes_is_refused_by_file_and_query(
    tmp_path: Path, change: Callable[[pa.Table], pa.Table], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for method in ("a", "b"):
        write_run(tmp_path / method / "0", NAMES, 3, 1.0, ndcg=True)  # of one query it is NaN, which is right
    said(capsys, tmp_path / "a", tmp_path / "b")
    file = tmp_path / "b" / "0" / "queries_test.parquet"
    rewrite(file, change)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert capsys.readouterr().err == (
        f"error: {file}: is not what a test writes ({fault}); run `python train.py test` again\n"
    )


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (
            lambda table: table.slice(1),
            "1 queries of the first are not in the second and 0 the other way round, text to",
        ),
        (lambda table: changed(table, "query_id", 77, 500), "1 queries of the first are not in the second and 1 the"),
        (lambda table: changed(table, "query", 5, "else"), "query 5 is another text (1 such queries), text to audio"),
        (lambda table: changed(table, "clip_id", 4, 0), "query 4 belongs to another recording (1 such queries), text"),
        (
            lambda table: changed(table, "relevant_ids", 80, [1, 2]),
            "query 2 has other relevant items (1 such queries), audio",
        ),
        (lambda table: changed(table, "pool_size", 0, 25), "26 and 25 items to choose from, text to audio"),
        (
            lambda table: changed(changed(table, "relevant_ids", 1, [9]), "relevant_ids", 0, [9]),
            "query 0 has other relevant items (2 such queries), text to audio",
        ),
    ],
)
def test_what_differs_between_pools_is_said(
    runs: Path, change: Callable[[pa.Table], pa.Table], differs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(runs / "better" / "2" / "queries_test.parquet", change)
    for arguments in ([runs / "base_line", runs / "better"], [runs / "better"]):  # also among runs of one experiment
        assert main(["compare", *(str(argument) for argument in arguments)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"{runs / 'better' / '2'} were evaluated on different pools: {differs}" in error
        assert error.endswith("evaluate all again on the recordings they share with `compare --intersect`\n")
