"""An earlier run is set aside, and comes back unless the new one trains."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import RunError
from experiments import former_run
from experiments.former_run import discard, restore, set_aside
from experiments.run_folder import check_name

OURS = {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "config_fit.yaml", "metrics.csv", "queries_test.parquet"}
EMBEDDINGS = {"embeddings.parquet", "search/sounds-1234.arrow", "search/sounds-1234.ab.faiss", "search/old-12.parquet"}
FOREIGN = {"notes.txt", "checkpoints/mine.ckpt", "lightning_logs/version_0/events", "wandb/run/files/log.txt"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with what the program wrote and what it did not."""
    folder = tmp_path / "x" / "0"
    write(folder, *OURS, *EMBEDDINGS, *FOREIGN)
    return folder


def write(folder: Path, *names: str, text: str = "former") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("embeddings", [True, False])
def test_only_what_the_program_wrote_is_deleted(folder: Path, embeddings: bool) -> None:
    set_aside(folder, embeddings=embeddings)
    write(folder, "config_fit.yaml", "metrics.csv", text="new")
    discard(folder)
    restore(folder)  # there is nothing to bring back
    kept = {*FOREIGN, *([] if embeddings else EMBEDDINGS)}
    assert content(folder) == {**dict.fromkeys(kept, "former"), "config_fit.yaml": "new", "metrics.csv": "new"}


def test_a_new_run_that_trained_nothing_leaves_the_earlier_one(folder: Path) -> None:
    before = content(folder)
    set_aside(folder, embeddings=True)
    write(folder, "config_fit.yaml", "metrics.csv", "checkpoints/last.ckpt", text="new")
    restore(folder)
    assert content(folder) == before


def test_a_new_run_that_trained_nothing_leaves_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "0"
    set_aside(folder, embeddings=False)
    write(folder, "config_fit.yaml", "checkpoints/last.ckpt", text="new")
    restore(folder)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_on_another_disk_are_not_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "x" / "0", tmp_path / "disk"
    write(elsewhere, "notes.txt")
    folder.mkdir(parents=True)
    (folder / "metrics.csv").symlink_to(elsewhere / "notes.txt")
    set_aside(folder, embeddings=True)
    discard(folder)
    assert content(elsewhere) == {"notes.txt": "former"}


class Killed(BaseException):
    """Ends the process, as far as a test can do it."""


def kill_at(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Kill the process at the n-th change of the disk from now on, n counted from 0."""
    calls = itertools.count()

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if next(calls) == moment:
                raise Killed
            return original(*arguments, **options)

        return call

    for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "touch"), (shutil, "rmtree")):
        patch.setattr(owner, name, counted(getattr(owner, name)))


def test_a_kill_at_any_moment_loses_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, start = content(folder), tmp_path / "start"
    shutil.copytree(folder, start)
    for moment in itertools.count():
        shutil.rmtree(folder)
        shutil.copytree(start, folder)
        with monkeypatch.context() as patch:
            kill_at(patch, moment)
            try:
                set_aside(folder, embeddings=True)
                write(folder, "config_fit.yaml", "checkpoints/last.ckpt", text="new")
                restore(folder)
            except Killed:
                pass
            else:
                break
        restore(folder)
        assert content(folder) == before, f"killed before call {moment}"
    assert moment > 15  # the moves there and back, the deletions, the marker


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\nb", "tab\t", " x", "x ", "nul\0"])
def test_a_name_leads_out_of_no_folder(name: str) -> None:
    with pytest.raises(
        RunError, match=r"^run\.experiment is .*: give a plain name without folders or control"
    ) as caught:
        check_name(name, "run.experiment")
    assert "\n" not in str(caught.value)


def test_a_name_may_be_as_long_as_wandb_takes(tmp_path: Path) -> None:
    check_name("x" * 128, "run.experiment")
    check_name("tau=0.05, été+small", "run.experiment")
    with pytest.raises(RunError, match=r"^run\.experiment has 129 characters: give at most 128"):
        check_name("x" * 129, "run.experiment")


def test_all_that_a_run_writes_is_known() -> None:
    """The table is that of `RunFolder`; a new kind of file has to be added here."""
    from experiments.run_folder import RunFolder

    run = RunFolder(Path("run"))
    files = [
        run.best,
        run.last,
        run.metrics,
        run.figure,
        run.queries("test"),
        run.pool("test"),
        run.human_judgements("test"),
    ]
    for path in [*files, run.path / "provenance.json", run.path / "config_fit.yaml", run.path / "wandb_run_id"]:
        assert any(path.relative_to(run.path).match(pattern) for pattern in former_run.WRITTEN), path
    for path in (run.embeddings, run.search_index(Path("sounds"))):
        assert any(path.relative_to(run.path).match(pattern) for pattern in former_run.EMBEDDED), path
