"""The entry point: the list of commands, quick help, and what every kind of error ends in."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from optuna.exceptions import StorageInternalError

from cli.__main__ import COMMANDS, TRAINING, load_command, main, train
from cli.errors import exit_code_of
from common.errors import CacheError, DataError, ModelError, RelevanceError, RunError
from tests.support.runs import python

ALL = (*TRAINING, *COMMANDS)
HEAVY = ("torch", "lightning", "transformers", "numpy", "jsonargparse", "matplotlib")


def test_without_a_command_the_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in ALL)
    assert train([]) == 2
    assert "compare" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ALL)
def test_every_file_of_a_command_is_listed(name: str) -> None:
    command = load_command(name)
    assert command.name == name
    assert command.summary
    modules = {
        path.stem for path in Path(sys.modules[type(command).__module__].__file__ or "").parent.glob("[a-z]*.py")
    }
    assert modules == {*(command.replace("-", "_") for command in COMMANDS), "training"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name: str) -> None:
    assert load_command(name).epilog.startswith(f"example:\n  $ audio-relevance {name} ")


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["comapre", "runs/a"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is no command 'comapre'; did you mean 'compare'?")
    with pytest.raises(SystemExit):
        train(["compare"])
    assert "there is no command 'compare'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["", *(name for name in COMMANDS if name not in ("extract", "import-features", "neighbours", "pack"))]
)
def test_help_imports_nothing_that_takes_time(name: str) -> None:
    code = (
        "import sys; from cli.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        f"except SystemExit: print('imported:', *sorted({set(HEAVY)} & set(sys.modules)))"
    )
    printed = python(code, *[name] * bool(name), "--help").stdout
    assert printed.startswith("usage: audio-relevance")
    assert printed.endswith("imported:\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        *((kind("what\n and how"), 1, "error: what and how") for kind in (DataError, RelevanceError, ModelError)),
        *((kind("what"), 1, "error: what") for kind in (RunError, CacheError, MisconfigurationException)),
        (StorageInternalError("no database"), 1, "error: no database"),
        (
            PermissionError(13, "Permission denied", "a.csv"),
            1,
            "error: a.csv: Permission denied; change its permissions, ",
        ),
        (KeyboardInterrupt(), 130, "interrupted; again"),
        (SIGTERMException(), 143, ""),
    ],
)
def test_errors_end_in_a_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    assert exit_code_of(fail, "interrupted; again") == code
    assert capsys.readouterr().err.startswith(line)
    monkeypatch.setenv("TRACEBACK", "1")
    if code == 1:
        with pytest.raises(type(error)):
            exit_code_of(fail)


def test_ctrl_c_in_a_training_is_ctrl_c_and_another_exit_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_lightning_does() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    def refuse() -> None:
        sys.exit(2)

    assert exit_code_of(as_lightning_does, "interrupted; again") == 130
    assert capsys.readouterr().err == "interrupted; again\n"
    with pytest.raises(SystemExit) as caught:
        exit_code_of(refuse, "interrupted; again")
    assert caught.value.code == 2
    monkeypatch.setenv("LOCAL_RANK", "1")  # the first of several processes says it
    assert exit_code_of(as_lightning_does, "interrupted; again") == 130
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_program_is_no_mistake_of_the_user() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0)


def test_a_reader_that_has_read_enough() -> None:
    code = "import sys; from cli.errors import exit_code_of; sys.exit(exit_code_of(lambda: print('x' * 10**7)))"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_table_that_head_does_not_read_to_its_end_is_no_error() -> None:
    def closed() -> NoReturn:  # what rich does of a broken pipe
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            raise SystemExit(1)  # noqa: B904

    assert exit_code_of(closed) == 141


def test_a_command_may_be_started_with_its_output_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_code_of(lambda: print("unseen")) == 0
