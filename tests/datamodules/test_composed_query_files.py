"""Files of composed queries in ADIFF's layout and in one's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.composed_queries import read_composed_queries
from tests.support.annotated_layouts import write_csv

Refused = Callable[[Callable[[], object]], str]
ADIFF = ("taskname", "filepath1", "filepath2", "caption1", "caption2", "input", "answer")


def test_the_layout_of_adiff(tmp_path: Path) -> None:
    one = ("clothov21", "ClothoV21/evaluation/ a.wav", "ClothoV21/evaluation/b, c.wav", "A dog.", "Rain.", "explain")
    write_csv(tmp_path / "cld.csv", ADIFF, (*one, "The first, a dog; the second, rain."))
    assert read_composed_queries(tmp_path / "cld.csv") == [
        (" a.wav", "b, c.wav", "The first, a dog; the second, rain.")
    ]


def test_a_layout_of_ones_own(tmp_path: Path) -> None:
    write_csv(tmp_path / "q.csv", ("text", "clip", "target"), ("without birds", "a.wav", "b.wav"))
    assert read_composed_queries(tmp_path / "q.csv") == [("a.wav", "b.wav", "without birds")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a.wav", "", "less rain"), "q.csv, line 2: column 'target' is empty; fix or delete the row"),
        (("a.wav", "b.wav", "nan"), "q.csv, line 2: column 'text' is 'nan', as programs write for an empty cell"),
        (("a.wav", "b.wav", "?!"), "q.csv, line 2: column 'text' holds no words"),
        (("x/a.wav", "y/a.wav", "less rain"), "q.csv, line 2: 'x/a.wav' is query and target; fix or delete the row"),
    ],
)
def test_a_mistake_is_named_by_line_and_column(
    tmp_path: Path, refused: Refused, row: tuple[str, ...], message: str
) -> None:
    write_csv(tmp_path / "q.csv", ("clip", "target", "text"), row)
    assert message in refused(lambda: read_composed_queries(tmp_path / "q.csv"))


def test_other_files_are_refused(tmp_path: Path, refused: Refused) -> None:
    write_csv(tmp_path / "q.csv", ADIFF)
    assert "q.csv: holds no queries" in refused(lambda: read_composed_queries(tmp_path / "q.csv"))
    write_csv(tmp_path / "q.csv", ("clip", "text"), ("a", "b"))
    assert "column 'target' is missing (found: clip, text)" in refused(
        lambda: read_composed_queries(tmp_path / "q.csv")
    )
    write_csv(tmp_path / "q.csv", ("clip", "target", "text"))
    assert "q.csv: holds no queries; give a csv with" in refused(lambda: read_composed_queries(tmp_path / "q.csv"))
