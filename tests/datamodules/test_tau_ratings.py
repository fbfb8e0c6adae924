"""TAU Graded Relevances 2023 out of its files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.judgements.tau_ratings import read_tau_ratings
from tests.support.judgements import write_tau

Refused = Callable[[Callable[[], object]], str]


@pytest.fixture
def tau(tmp_path: Path) -> Path:
    return write_tau(tmp_path / "tau")


def test_ratings_are_read_as_written(tau: Path) -> None:
    ratings = read_tau_ratings(tau, "development")
    assert len(ratings) == 18
    assert (ratings[3].query_id, ratings[3].query, ratings[3].clip_id) == ("t10", "rain falls on a roof", "f1")
    assert (ratings[3].group, ratings[3].rating) == ("TP", pytest.approx(0.93))
    assert ratings[3].caption_ids == ("t10", "t11", "t12")
    assert ratings[3].captions[1] == "rain falls on a roof, quietly"
    assert [rating.group for rating in ratings[:3]] == ["TP", "C15", "TN"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("relevance_data/development_relevances.csv", "TP,93", "TP,101", "line 5: rating 101 is out of range"),
        ("relevance_data/development_relevances.csv", "TP,93", "TP,-1", "line 5: rating -1 is out of range"),
        ("relevance_data/development_relevances.csv", "TP,93", "TP,nan", "line 5: rating 'nan' is not a number"),
        ("relevance_data/development_relevances.csv", "TP,93", "TP,", "line 5: rating '' is not a number"),
        ("relevance_data/development_relevances.csv", "t10,f1,TP", "t99,f1,TP", "line 5: tid 't99' is not in"),
        ("relevance_data/development_relevances.csv", "t10,f1,TP", "t10,f9,TP", "line 5: fid 'f9' is not in"),
        (
            "relevance_data/development_relevances.csv",
            "t10,f2",
            "t10,f1",
            "line 6: fid 'f1' is rated twice for tid 't10'",
        ),
        ("relevance_data/development_relevances.csv", "fid_group", "kind", "column 'fid_group' is missing"),
        ("text_data/development_text.csv", "text", "caption", "column 'text' is missing"),
        ("text_data/development_text.csv", "t50,f5,wind", "t50,f5, ", "line 17: caption 't50' is empty"),
        ("text_data/development_text.csv", "t50,f5", "t00,f5", "line 17: tid 't00' comes twice"),
    ],
)
def test_bad_files_are_refused(tau: Path, refused: Refused, file: str, old: str, new: str, message: str) -> None:
    path = tau / file
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    said = refused(lambda: read_tau_ratings(tau, "development"))
    assert message in said
    assert str(path) in said


def test_missing_and_empty_files_are_refused(tau: Path, refused: Refused) -> None:
    said = refused(lambda: read_tau_ratings(tau, "test"))
    assert "test_relevances.csv: no such file" in said
    assert "development or validation" in said
    (tau / "relevance_data/development_relevances.csv").write_text("tid,fid,fid_group,rating\n")
    assert "holds no ratings" in refused(lambda: read_tau_ratings(tau, "development"))


def test_ratings_from_0_to_1_are_refused(tau: Path, refused: Refused) -> None:
    path = tau / "relevance_data/development_relevances.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text(
        "".join(",".join([*row[:3], "1" if i == 1 else "0.5" if i else "rating"]) + "\n" for i, row in enumerate(rows))
    )
    message = refused(lambda: read_tau_ratings(tau, "development"))
    assert f"{path}: no rating is above 1, where ratings are from 0 to 100; multiply them by 100" in message
