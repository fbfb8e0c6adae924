"""`audio-relevance leaks --report`: the page, what is printed, and each mistake."""

from pathlib import Path

import pytest

from cli.__main__ import main
from datamodules.clotho import Clotho
from tests.support.annotated_layouts import write_csv
from tests.support.command_line import refused
from tests.support.corpus import Corpus
from tests.support.expert_features import write_features
from tests.support.layouts import write_audiocaps

CONFIG = """\
base: demo_infonce.yaml
data:
  class_path: Mixture
  init_args:
    parts:
    - {class_path: AudioCaps, init_args: {root: audiocaps}}
    - class_path: AnnotatedFolder
      init_args:
        root: mine
        annotations: {train: captions.csv}
        name: "{id}"
        origin: youtube:{id}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_report_of_everything(tmp_path: Path, corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    write_audiocaps(tmp_path / "audiocaps")
    write_csv(tmp_path / "mine" / "captions.csv", ("id", "caption"), ("fff", "A dog."), ("eee", "Rain."))
    (tmp_path / "ours.yaml").write_text(CONFIG)
    write_csv(tmp_path / "ids.csv", ("youtube_id",), ("ggg",))
    write_features(Clotho(str(corpus.root)), tmp_path / "store", "made_up")
    arguments = ["--clotho", str(corpus.root), "--config", "ours.yaml", "--ids", "ids.csv", "--report", "page/h.md"]
    assert main(["leaks", *arguments, "--embeddings", "store", "--threshold", "-1", "--most", "2"]) == 0
    printed = capsys.readouterr().out
    report = (tmp_path / "page" / "h.md").read_text()
    for line in (
        "| mine train | AudioCaps validation | 1 | 1 |",
        "| mine train | AudioCaps test | 1 | 1 |",
        "| ids train | AudioCaps test | 1 | 1 |",
        "| store train | store test | 24 | 4 | 4 |",
        "- `youtube:fff`: `fff` and `fff_10`",
    ):
        assert line in report
    assert "| `laion/clap-htsat-unfused` | AudioCaps test | 2 | train | 0 | 2 from youtube |" in report
    assert "store train and store test (the first 2 of 24):" in report
    assert "store train and store test: 24 pairs sound nearly the same" in printed
    assert "AudioCaps test: 0 of 10 queries share their text with another recording; best R@1 100.00 %" in printed
    assert printed.endswith("report: page/h.md\n")


def test_data_sets_of_configs_are_listed_without_a_report_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_audiocaps(tmp_path / "audiocaps")
    write_csv(tmp_path / "mine" / "captions.csv", ("id", "caption"), ("fff", "A dog."))
    (tmp_path / "ours.yaml").write_text(CONFIG)
    assert main(["leaks", "--config", "ours.yaml"]) == 0
    expected = "youtube:fff\n    mine train: fff\n    AudioCaps test: fff_10\n1 origins are on both sides\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the root of at least one data set"),
        (["--ids", "gone.csv"], "gone.csv: no such file; check the path"),
        (["--embeddings", "x"], "--embeddings goes with --report FILE.md"),
        (["--embeddings", "x", "--report", "r.md", "--threshold", "2"], "--threshold a cosine similarity"),
        (["--embeddings", "gone.parquet", "--report", "r.md"], "gone.parquet: no such file"),
        (["--ids", "ids.csv", "--report", "."], ".: cannot be written (Is a directory); give another place"),
        (["--ids", "ids.csv", "--report", "ids.csv"], "ids.csv: is read too, and would be written over"),
        (
            ["--embeddings", "ids.csv", "--report", "r.md"],
            "; give a store of features, a file of `python train.py predict`, or a run's pool",
        ),
        (["--config", "no_such.yaml"], "config 'no_such.yaml' is neither a file nor in configs/"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "ids.csv", ("youtube_id",), ("ggg",))
    assert message in refused(capsys, "leaks", *arguments)
    assert not (tmp_path / "r.md").exists()
