"""`search` with an exported folder and with a pretrained pair, without a run."""

import re
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.support.pairs import save_clap
from tests.support.recordings import NAMES, tiny_run, write_recordings

NAME = re.compile(r"│ \d+ +│ (-?\d\.\d+) +│ (.+?) +│")


def searched(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, list[tuple[str, str]]]:
    capsys.readouterr()
    assert main(["search", *arguments]) == 0
    out = capsys.readouterr().out
    return out, NAME.findall(out)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_an_exported_folder_ranks_as_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio, run, folder = str(write_recordings(tmp_path / "audio")), tiny_run(tmp_path / "made"), tmp_path / "out"
    assert main(["export", "--run", str(run), "--output", str(folder), "--licence", "mit"]) == 0
    _, ofrun = searched(capsys, audio, "loud dog", "--run", str(run))
    out, ofexport = searched(capsys, audio, "loud dog", "--run", str(folder))
    assert len(ofrun) == len(NAMES)
    assert ofexport == ofrun
    assert "7 recordings, 8 windows of at most 2 s" in out
    assert "7 of them embedded before" in searched(capsys, audio, "loud dog", "--run", str(folder))[0]
    assert list((tmp_path / "cache" / "search").glob("*.arrow"))


@pytest.mark.slow
def test_a_pretrained_pair_needs_no_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio, pair = str(write_recordings(tmp_path / "audio")), str(save_clap(tmp_path / "clap"))
    out, rows = searched(capsys, audio, "a dog barks", "--run", pair)
    assert {name for _, name in rows} == set(NAMES)
    assert out.startswith("index: ")
    assert main(["search", "a dog barks", "--run", pair]) == 1
    assert "no run, so there is no test of it to search; give a FOLDER" in capsys.readouterr().err
