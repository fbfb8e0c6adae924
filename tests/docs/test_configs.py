"""Every config says what it is and which command runs it; names are unique, since a config is found by its name."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.documents import CONFIGS, commands, header, read

FILES = sorted(CONFIGS.rglob("*.yaml"))
PAPER = [path for path in FILES if path.parent.name in ("clotho", "audiocaps") and "Table II" in header(path)]


def test_names_are_unique() -> None:
    assert [name for name, times in Counter(path.name for path in FILES).items() if times > 1] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_header_has_the_command_that_runs_it(path: Path) -> None:
    assert header(path)
    runs = [words for where, words in commands().items() if where.startswith(f"{path.name}: ")]
    if path.parent.name == "sweeps":
        assert ["audio-relevance", "sweep", path.stem] in [words[:3] for words in runs]
    else:
        assert any(
            words[:2] == ["python", "train.py"] and words[2] in ("fit", "test") and path.name in words for words in runs
        )


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.name)
def test_the_papers_figures_are_those_of_the_documents(path: Path) -> None:
    documented = read(CONFIGS.parent / "docs/reproducing.md")
    rows = [line for line in documented.splitlines() if f"`{path.name}`" in line]
    figures = [re.findall(r"\d+\.\d ± \d\.\d", line) for line in header(path).splitlines()]
    figures = [row for row in figures if row]
    assert len(figures) in (1, 2)
    for row in figures:
        assert any(" | ".join(row) in line for line in rows), row
