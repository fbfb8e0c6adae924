"""The files of a submission: written, read again, and refused by name where they are broken."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from common.errors import DataError, RunError
from evaluation.scores import MatrixScores
from retrieval.dcase.forms import FORMS, check_label
from retrieval.dcase.meta import as_yaml, data_sets, filled, read_template
from retrieval.dcase.output_file import clips_of, read_output, write_output
from retrieval.dcase.queries import Queries, read_query_file
from retrieval.dcase.self_score import self_score
from tests.support.rankings import random_scores

NAMES = [f"clip, {i}.wav" for i in range(12)]
TEXTS = ["a dog barks", 'rain, "heavy"', "a bell", "a dog barks"]
QUERIES = Queries(TEXTS)


def scores() -> torch.Tensor:
    made = torch.from_numpy(random_scores(3, 12, 0)) / 3
    return made[[0, 1, 2, 0]]  # equal texts have equal scores


def written(folder: Path, year: int) -> Path:
    path = folder / "x.output.csv"
    write_output(path, FORMS[year], QUERIES, NAMES, MatrixScores(scores()))
    return path


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(("year", "column"), [(2022, "file_name_"), (2023, "fname_"), (2024, "fname_")])
def test_a_year_of_lists_has_the_ten_best_of_every_query(tmp_path: Path, year: int, column: str) -> None:
    path = written(tmp_path, year)
    header, *rows = rows_of(path)
    assert header == ["caption", *(f"{column}{i}" for i in range(1, 11))]
    assert [row[0] for row in rows] == TEXTS
    order = scores().argsort(descending=True)[:, :10]
    assert [row[1:] for row in rows] == [[NAMES[i] for i in row] for row in order.tolist()]
    read = read_output(path, FORMS[year], QUERIES, NAMES)
    assert read.shape == (4, 12)
    assert torch.equal(read.argsort(descending=True, stable=True)[:, :10], order)
    assert (read == 0).sum(1).tolist() == [2] * 4


def test_2025_has_a_score_of_every_recording_and_each_text_once(tmp_path: Path) -> None:
    path = written(tmp_path, 2025)
    header, *rows = rows_of(path)
    assert header == ["index", *NAMES]
    assert [row[0] for row in rows] == TEXTS[:3]
    assert torch.equal(read_output(path, FORMS[2025], QUERIES, NAMES), scores())  # to the last bit
    shuffled = [[row[0], *reversed(row[1:])] for row in (header, *rows)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(shuffled)
    assert torch.equal(read_output(path, FORMS[2025], QUERIES, NAMES), scores())


Rows = list[list[str]]


def changed(rows: Rows, row: int, column: int, value: str) -> Rows:
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("year", "change", "message"),
    [
        (2022, lambda rows: rows[:-1], "query 'a dog barks' is missing (1 of 3)"),
        (2022, lambda rows: [*rows, rows[2]], "line 6: query 'rain, \"heavy\"' comes too often; delete the row"),
        (2022, lambda rows: changed(rows, 1, 0, "a cat"), "line 2: 'a cat' is no query of the query file"),
        (
            2022,
            lambda rows: changed(rows, 3, 4, "clip, 99.wav"),
            "line 4: 'clip, 99.wav' is no recording of the folder",
        ),
        (2022, lambda rows: changed(rows, 3, 4, ""), "line 4: '' is no recording of the folder; give names of its"),
        (2022, lambda rows: changed(rows, 3, 4, rows[3][1]), "comes twice; a row lists different recordings"),
        (2022, lambda rows: [*rows[:2], rows[2][:-1], *rows[3:]], "line 3: has 10 cells under 11 columns"),
        (2023, lambda rows: changed(rows, 0, 3, "file_name_3"), "column 'fname_3' is missing; 2023 asks for it"),
        (2022, lambda rows: [[*row, row[1]] for row in rows], "column 'file_name_1' is there twice; delete one"),
        (2022, lambda rows: [[*row, "x"] for row in rows], "column 'x' is none that 2022 asks for; delete it"),
        (2022, lambda rows: [row[::-1] for row in rows], "the columns are in another order than caption, file_name_1"),
        (2022, lambda rows: [], "column 'caption' is missing"),
        (2025, lambda rows: changed(rows, 2, 5, "nan"), "line 3: the score of 'clip, 4.wav' is 'nan'; give a finite"),
        (2025, lambda rows: changed(rows, 2, 5, "-inf"), "line 3: the score of 'clip, 4.wav' is '-inf'"),
        (2025, lambda rows: changed(rows, 2, 5, "1e39"), "line 3: the score of 'clip, 4.wav' is '1e39'"),
        (2025, lambda rows: changed(rows, 2, 5, ""), "line 3: the score of 'clip, 4.wav' is ''"),
        (2025, lambda rows: [row[:-1] for row in rows], "column 'clip, 11.wav' is missing; 2025 asks for it"),
        (2025, lambda rows: changed(rows, 0, 1, "other.wav"), "column 'clip, 0.wav' is missing"),
        (2025, lambda rows: [*rows, rows[1]], "line 5: query 'a dog barks' comes too often"),
        (2025, lambda rows: rows[:2], "query 'rain, \"heavy\"' is missing (2 of 3)"),
    ],
)
def test_a_broken_file_is_refused_by_line_and_name(
    tmp_path: Path, year: int, change: Callable[[Rows], Rows], message: str, refused: Callable[..., str]
) -> None:
    path = written(tmp_path, year)
    rows = change(rows_of(path))
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    found = refused(lambda: read_output(path, FORMS[year], QUERIES, NAMES))
    assert found.startswith(str(path))
    assert message in found


def test_files_that_are_no_csv_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "x.csv"
    assert "cannot be read as csv (No such file" in refused(lambda: read_output(path, FORMS[2022], QUERIES, NAMES))
    path.write_text("index;a.wav;b.wav\nrain;1;2\n")
    assert "it is separated by semicolons" in refused(lambda: read_output(path, FORMS[2025], QUERIES, NAMES))
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as csv" in refused(lambda: read_output(path, FORMS[2022], QUERIES, NAMES))


@pytest.mark.parametrize(
    ("content", "texts", "relevant"),
    [
        ("caption\nrain\n a dog\nrain\n", ["rain", " a dog", "rain"], None),
        (
            "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\na.wav,x,y,,,\n b.wav,z,,,,\n",
            ["x", "y", "z"],
            [("a.wav",), ("a.wav",), (" b.wav",)],
        ),
        ("query,audio_filenames\nrain,\"['a.wav', 'b.wav']\"\n", ["rain"], [("a.wav", "b.wav")]),
    ],
)
def test_three_kinds_of_query_files(
    tmp_path: Path, content: str, texts: list[str], relevant: list[tuple[str, ...]] | None
) -> None:
    path = tmp_path / "queries.csv"
    path.write_text(content, encoding="utf-8")
    queries = read_query_file(path)
    assert (queries.texts, queries.relevant) == (texts, relevant)
    assert queries.per_recording == ((2, 1) if "file_name" in content else ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\nrain\n", "has no column 'caption' (found: text)"),
        ("caption\nrain\n \n", "line 3: the caption is empty"),
        ("caption\n", "queries.csv: holds no queries"),
        ("caption,caption\nrain,a dog\n", "column 'caption' is there twice in the first line"),
    ],
)
def test_other_query_files_are_refused(tmp_path: Path, content: str, message: str, refused: Callable[..., str]) -> None:
    path = tmp_path / "queries.csv"
    path.write_text(content, encoding="utf-8")
    assert message in refused(lambda: read_query_file(path))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("b.wav", "deep/a.wav", "deep/er/b.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"has the name of .*; a submission cannot tell them apart"):
        clips_of(tmp_path)
    (tmp_path / "b.wav").unlink()
    assert list(clips_of(tmp_path)) == ["a.wav", "b.wav"]
    with pytest.raises(DataError, match="no such folder"):
        clips_of(tmp_path / "gone")


def plain_ap(order: Sequence[str], right: set[str], k: int) -> float:
    hits = [name in right for name in order[:k]]
    return sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / len(right)


def test_a_submission_is_scored_by_the_years_metric() -> None:
    names = [f"{i}.wav" for i in range(40)]
    matrix = random_scores(5, 40, 3)
    rng = np.random.default_rng(0)
    relevant = [tuple(rng.choice(names, size, replace=False)) for size in (1, 2, 3, 7)] + [("gone.wav",)]
    found, count = self_score(FORMS[2025], torch.from_numpy(matrix), names, relevant)
    orders = [[names[i] for i in row.argsort()[::-1]] for row in matrix[:4]]
    expected = [plain_ap(order, {*right}, 16) for order, right in zip(orders, relevant[:4], strict=True)]
    assert count == 4  # the last has none in the folder
    assert next(iter(found)) == "mAP@16"
    assert found["mAP@16"][0] == pytest.approx(np.mean(expected))
    recall = np.mean(
        [len({*order[:5]} & {*right}) / len(right) for order, right in zip(orders, relevant, strict=False)]
    )
    assert found["R@5"][0] == pytest.approx(recall)
    assert found["R@5"][1] == pytest.approx(5 / 40)
    assert next(iter(self_score(FORMS[2023], torch.from_numpy(matrix), names, relevant)[0])) == "mAP@10"


def test_a_template_keeps_its_keys_and_values(tmp_path: Path) -> None:
    known = {"submission": {"label": "A_B_task6_1", "name": "x"}, "results": {"R@1": 0.5}, "more": 1}
    path = tmp_path / "template.yaml"
    path.write_text("submission:\n  label: !!null\n  name: ours\n  code: null\nresults:\n  R@1: !!null\n")
    text = as_yaml(filled(read_template(path, "mAP@10"), known))
    assert yaml.safe_load(text) == {
        "submission": {"label": "A_B_task6_1", "name": "ours", "code": None},
        "results": {"R@1": 0.5},
    }
    assert "code: !!null" in text
    assert "mAP@16" in read_template(None, "mAP@16")["results"]["development_testing"]
    assert "mAP@16" not in read_template(None, "mAP@10")["results"]["development_testing"]
    path.write_text("- a\n")
    with pytest.raises(DataError, match="is no table of settings"):
        read_template(path, "mAP@10")


def test_data_sets_of_a_mixture_are_named() -> None:
    parts = {"parts": [{"class_path": "AudioCaps"}, {"class_path": "datamodules.clotho.Clotho", "init_args": {}}]}
    assert list(data_sets({"class_path": "Mixture", "init_args": parts})) == ["AudioCaps", "Clotho"]


@pytest.mark.parametrize(
    "label", ["", "Xie_task6_1", "Xie_TAU_task6_0", "Xie_TAU_6_1", "../x_Y_task6_1", "A_B_task6_1/x"]
)
def test_a_label_names_author_institute_task_and_system(label: str) -> None:
    check_label("Xie_TAU_task6b_2")
    with pytest.raises(RunError, match="give Surname_Institute_task6_1"):
        check_label(label)
