"""A test and a validation compared with human judgements."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.corpus import Corpus, write_corpus
from tests.support.judgements import write_ratings, write_rows
from train import main

pytestmark = pytest.mark.slow  # they read trained runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Corpus, Path]:
    """Options of a run that was trained on a tiny corpus, the corpus, and the run's folder."""
    folder = tmp_path_factory.mktemp("judgements")
    corpus = write_corpus(folder / "clotho")
    options = {
        "config": "clotho_listnet.yaml",
        "data.root": corpus.root,
        "data.batch_size": 6,
        "data.num_workers": 0,
        "run.root": folder / "runs",
        "run.experiment": "tiny",
        "run.test_after_fit": "false",
        "trainer.max_epochs": 1,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.log_every_n_steps": 1,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    arguments[2:2] = ["--config", "small.yaml"]
    assert main(["fit", *arguments]) == 0
    return arguments, corpus, folder / "runs" / "tiny" / "0"


def test_a_test_is_compared_with_lists(
    trained: tuple[list[str], Corpus, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, corpus, run = trained
    said = corpus.captions["evaluation"]
    rows = [(said["sea.wav"][0], ["sea.wav", " train.wav"]), (said["dog.wav"][2] + " ", ["dog.wav", "gone.wav"])]
    path = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), *rows, ("unheard of", ["dog.wav"]))
    capsys.readouterr()
    assert main(["test", *arguments, "--run.relevant_clips", str(path)]) == 0

    written = json.loads((run / "human_judgements_test.json").read_text())
    assert written["judged_by"] == "relevant_clips"
    assert Path(written["checkpoint"]) == run / "checkpoints" / "best.ckpt"
    assert written["sha256"] == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert list(written["metrics"]) == ["mAP@16_all", "mAP@10", "R@10"]
    assert written["metrics"]["R@10"] == {"value": 1, "chance": 1}  # the pool holds four
    assert 0 < written["metrics"]["mAP@16_all"]["value"] <= 1
    counts = written["counts"]
    assert (counts["queries"], counts["queries_not_in_split"], counts["items_not_in_split"]) == (2, 1, 1)
    assert (counts["pairs"], counts["pairs_listed"], counts["items"]) == (3, 5, 4)
    printed = " ".join(capsys.readouterr().out.split())
    assert "mAP@16_all" in printed
    assert "3 relevant pairs of 5; not in the split: 1 of 3 queries, 1 of 4 recordings." in printed
    assert (run / "queries_test.parquet").is_file()
    assert not list(run.glob(".*"))


def test_a_validation_is_compared_with_ratings(
    trained: tuple[list[str], Corpus, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, corpus, run = trained
    root = write_ratings(tmp_path / "tau", corpus.captions["validation"])
    assert main(["validate", *arguments, "--run.ratings", str(root)]) == 0
    written = json.loads((run / "human_judgements_validation.json").read_text())
    assert (written["judged_by"], written["split"]) == ("ratings", "validation")
    assert sorted(Path(name).parent.name for name in written["sha256"]) == [
        "audio_metadata",
        "relevance_data",
        "text_data",
    ]
    assert list(written["metrics"]) == ["nDCG@10", "spearman", "kendall_tau_b"]
    assert 0 < written["metrics"]["nDCG@10"]["chance"] < 1
    assert (written["counts"]["queries"], written["counts"]["pairs"]) == (3, 9)
    assert "9 ratings of 9; not in the split: 0 of 3 queries, 0 of 3 rec" in " ".join(capsys.readouterr().out.split())


def test_mistakes_end_in_one_line(
    trained: tuple[list[str], Corpus, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, _, run = trained
    foreign = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), ("a siren", "['sea.wav']"))
    before = {path: path.read_bytes() for path in run.glob("*.*") if not path.name.startswith("config_")}
    for command, option, value, message in (
        ("validate", "relevant_clips", foreign, "run.relevant_clips goes with `test`, not with `validate`"),
        ("fit", "relevant_clips", foreign, "run.relevant_clips goes with `test`, not with `fit`"),
        ("test", "ratings", tmp_path, "run.ratings goes with `validate`, not with `test`"),
        ("test", "relevant_clips", tmp_path / "nowhere.csv", "nowhere.csv: no such file"),
        ("validate", "ratings", tmp_path, "validation_relevances.csv: no such file"),
        (
            "test",
            "relevant_clips",
            foreign,
            "lists.csv: no query of 1 can be evaluated on the test split, 1 are",
        ),
    ):
        capsys.readouterr()
        assert main([command, *arguments, f"--run.{option}", str(value)]) == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
    assert {path: path.read_bytes() for path in before} == before
