"""Csv files that the analyses of fits and of translations read."""

from collections.abc import Callable
from pathlib import Path

from common.errors import DataError, UserError
from common.numbers import number_in
from common.text import query_fault
from datamodules.csv_files import read_csv

CELLS = "write a csv file with the columns fit,data,run or fit,data,score"
PAIRS = "write a csv file with the columns query,translation"


def read_cells(path: Path, score_of: Callable[[Path], float]) -> dict[tuple[str, str], float]:
    """Scores by fit and data, in the file's order, from the columns `fit`, `data` and `score` or `run`.

    Args:
        path: of the csv file.
        score_of: from the folder of a run, relative to the working directory, to its score.

    Raises:
        DataError: no such file, a missing column, no rows, an empty cell, a pair that comes twice, a score that is
            not from 0 to 1, or a run that has none: what `score_of` raises, with the line.
    """
    rows = read_csv(path, ("fit", "data"), "utf-8-sig", CELLS, ("run", "score"))
    cells: dict[tuple[str, str], float] = {}
    for line, row in rows:
        where, key = f"{path}, line {line}", (row["fit"].strip(), row["data"].strip())
        if not all(key):
            raise DataError(f"{where}: fit or data is empty; name both")
        if key in cells:
            raise DataError(f"{where}: fit '{key[0]}' on data '{key[1]}' comes twice; delete one of the rows")
        score, run = row.get("score", "").strip(), row.get("run", "").strip()
        if bool(score) == bool(run):
            raise DataError(f"{where}: give a score or the folder of a run, one of the two; {CELLS}")
        try:
            cells[key] = score_of(Path(run)) if run else _score(score)
        except UserError as error:
            raise DataError(f"{where}: {error}") from error
    if not cells:
        raise DataError(f"{path}: holds no scores; {CELLS}")
    return cells


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Queries and their translations or paraphrases, in the file's order, without blanks around them.

    Raises:
        DataError: no such file, a missing column, no rows, or a text that is empty or not UTF-8.
    """
    pairs = []
    for line, row in read_csv(path, ("query", "translation"), "utf-8-sig", PAIRS):
        for column in ("query", "translation"):
            if fault := query_fault(row[column]):
                raise DataError(f"{path}, line {line}: the {column} {fault}; give both texts of each pair")
        pairs.append((row["query"].strip(), row["translation"].strip()))
    if not pairs:
        raise DataError(f"{path}: holds no queries; {PAIRS}")
    return pairs


def _score(text: str) -> float:
    score = number_in(text)
    if not 0 <= score <= 1:
        raise DataError(f"score is '{text}'; give a number from 0 to 1")
    return score
