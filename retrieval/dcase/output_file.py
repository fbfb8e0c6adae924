"""The output file of a submission: written, and read again with every check."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from common.errors import DataError
from common.text import given_twice, nearest_name
from datamodules.audio_folder import recordings_in
from datamodules.csv_faults import separator_hint
from evaluation.ranks import best_items, score_blocks
from evaluation.scores import Scores
from retrieval.dcase.forms import PLACES, Form
from retrieval.dcase.queries import Queries

LARGEST = torch.finfo(torch.float32).max


def clips_of(folder: Path) -> dict[str, Path]:
    """The recordings in a folder, at any depth, by their base name, as a submission calls them, in alphabetical order.

    Raises:
        DataError: no such folder, no audio in it, or two files of one name.
    """
    clips: dict[str, Path] = {}
    for path in recordings_in(folder).values():
        if path.name in clips:
            raise DataError(
                f"{path}: has the name of {clips[path.name]}; a submission cannot tell them apart, move one"
            )
        clips[path.name] = path
    return dict(sorted(clips.items()))


def write_output(path: Path, form: Form, queries: Queries, names: Sequence[str], scores: Scores) -> None:
    """Write the output of scores (Q, N) of all queries and of recordings with these names, in their order.

    Where a row lists recordings, every query has a row, and of tied recordings the first one comes first. Where cells
    are scores, rows are known by their text, so each text has one.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(form.header(list(names)))
        if form.listed is not None:
            best = best_items(scores, PLACES)[0].tolist()
            writer.writerows([text, *(names[i] for i in row)] for text, row in zip(queries.texts, best, strict=True))
            return
        written: set[str] = set()
        for rows, block in score_blocks(scores):
            for text, row in zip(queries.texts[rows], block[:, : scores.items].tolist(), strict=True):
                if text not in written:
                    writer.writerow([text, *(f"{value:.9g}" for value in row)])  # nine digits tell all fp32 apart
                    written.add(text)


def read_output(path: Path, form: Form, queries: Queries, names: Sequence[str]) -> Tensor:
    """The scores (Q, N) float32 that an output file gives, checked; of listed recordings the earlier score higher.

    Recordings that a row does not list tie behind those that it lists.

    Raises:
        DataError: no such file, other columns, a query that is missing, unknown or there too often, a recording that is
            unknown or twice in a row, another number of cells, or a score that is no finite number.
    """
    lines = _lines(path)
    header = next(lines, (1, []))[1]
    _check_header(path, form, names, header)
    texts = queries.distinct if form.listed is None else queries.texts
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        places[text].append(place)
    column = {name: number for number, name in enumerate(names)}
    matrix = torch.zeros(len(texts), len(names))
    used: defaultdict[str, int] = defaultdict(int)
    for line, (text, *cells) in lines:
        where = f"{path}, line {line}"
        if text not in places:
            raise DataError(f"{where}: '{text}' is no query of the query file; delete the row")
        if used[text] == len(places[text]):
            raise DataError(f"{where}: query '{text}' comes too often; delete the row")
        row = matrix[places[text][used[text]]]
        used[text] += 1
        if len(cells) != len(header) - 1:
            raise DataError(f"{where}: has {len(cells) + 1} cells under {len(header)} columns; fix it")
        if form.listed is None:
            values = [_number(where, cell, name) for cell, name in zip(cells, header[1:], strict=True)]
            row[[column[name] for name in header[1:]]] = torch.tensor(values)
            continue
        for place, name in enumerate(cells):
            if name not in column:
                near = nearest_name(name, column)
                raise DataError(f"{where}: '{name}' is no recording of the folder{near}; give names of its files")
            if row[column[name]]:
                raise DataError(f"{where}: '{name}' comes twice; a row lists different recordings")
            row[column[name]] = len(cells) - place
    if absent := [text for text, rows in places.items() if used[text] < len(rows)]:
        raise DataError(f"{path}: query '{absent[0]}' is missing ({len(absent)} of {len(places)}); add its row")
    order = [places[text][0] for text in queries.texts] if form.listed is None else range(len(texts))
    return matrix[list(order)]


def _number(where: str, cell: str, name: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise DataError(f"{where}: the score of '{name}' is {cell!r}; give a finite number")
    return value


def _check_header(path: Path, form: Form, names: Sequence[str], found: Sequence[str]) -> None:
    """Whether the first line has the year's columns; those of recordings may be in any order."""
    wanted = form.header(list(names))
    for name in wanted:
        if name not in found:
            remedy = separator_hint(",".join(found)) or f"{form.year} asks for it in the first line"
            raise DataError(f"{path}: column '{name}' is missing; {remedy}")
    for name in found:
        if name not in {*wanted}:
            raise DataError(f"{path}: column '{name}' is none that {form.year} asks for; delete it")
    if (twice := given_twice(found)) is not None:
        raise DataError(f"{path}: column '{twice}' is there twice; delete one")
    if found[0] != form.first or (form.listed is not None and list(found) != wanted):
        raise DataError(f"{path}: the columns are in another order than {', '.join(wanted[:3])}, ...; sort them")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            yield from ((reader.line_num, row) for row in reader if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read as csv ({cause}); write it again") from error
