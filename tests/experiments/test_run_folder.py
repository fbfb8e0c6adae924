"""Run folders: which may be used, locked, cleared."""

import os
from pathlib import Path

import pytest

from common.errors import RunError
from experiments.run_folder import RunFolder, RunOptions
from tests.support.tabled import filled


@pytest.mark.parametrize(
    ("names", "flags", "message"),
    [
        ([], {"overwrite": True, "resume": True}, r"^run\.overwrite and run\.resume exclude each other; give one"),
        (
            ["queries_test.parquet"],
            {"resume": True},
            r"run/0: holds results, but no last\.ckpt to continue from; re",
        ),
        (["checkpoints/best.ckpt"], {}, r"run/0: holds an earlier run; continue it with --run\.resume true, replace"),
        (["queries_validation.parquet"], {}, r"run/0: holds an earlier run; .* or choose another --seed_everything or"),
    ],
)
def test_fit_is_refused_a_folder(tmp_path: Path, names: list[str], flags: dict[str, bool], message: str) -> None:
    folder = filled(tmp_path / "run" / "0", *names)
    with pytest.raises(RunError, match=message) as caught:
        folder.check_fit(**{"overwrite": False, "resume": False, **flags})
    assert "\n" not in str(caught.value)
    assert all((folder.path / name).exists() for name in names)


@pytest.mark.parametrize(
    ("names", "flags", "holds"),
    [
        ([], {}, False),
        (["metrics.csv", "config_fit.yaml", "checkpoints/notes.txt"], {}, False),  # it died before its first checkpoint
        (["checkpoints/last.ckpt"], {"overwrite": True}, True),
        (["checkpoints/last.ckpt", "queries_test.parquet"], {"resume": True}, True),
        ([], {"resume": True}, False),
        (["checkpoints/best.ckpt"], {"resume": True}, True),  # it was killed before its first last.ckpt
        ([".cleared/best.ckpt", "queries_test.parquet"], {"resume": True}, True),  # while an earlier run was deleted
    ],
)
def test_fit_may_use_a_folder(tmp_path: Path, names: list[str], flags: dict[str, bool], holds: bool) -> None:
    folder = filled(tmp_path, *names)
    assert folder.holds_results() == holds
    resumed = folder.check_fit(**{"overwrite": False, "resume": False, **flags})
    goes_on = flags.get("resume") and "checkpoints/last.ckpt" in names
    assert resumed == (tmp_path / "checkpoints" / "last.ckpt" if goes_on else None)
    assert all((tmp_path / name).exists() for name in names)


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run" / "0")
    held = folder.lock()
    with pytest.raises(RunError, match=r"run/0: another process is training in it; wait, or choose another --seed"):
        folder.lock(patience=0.0)
    held.release()
    folder.lock(patience=0.0).release()
    assert not folder.path.exists()


def test_clearing_keeps_what_wandb_wrote_and_what_links_point_to(tmp_path: Path) -> None:
    elsewhere = filled(tmp_path / "disk", "best.ckpt")
    folder = filled(tmp_path / "run", "metrics.csv", "wandb/offline-run/files/log.txt", ".hidden", "logs/a/b.txt")
    (folder.path / "checkpoints").symlink_to(elsewhere.path)
    (folder.path / "broken").symlink_to(tmp_path / "nowhere")
    folder.clear()
    assert os.listdir(folder.path) == ["wandb"]
    assert (folder.path / "wandb" / "offline-run" / "files" / "log.txt").exists()
    assert (elsewhere.path / "best.ckpt").exists()
    RunFolder(tmp_path / "nowhere").clear()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("val/loss", "min"), ("val/text_to_audio/mAP@10", "max"), ("val/audio_to_text/median_rank", "min")],
)
def test_the_best_is_the_lowest_loss_or_rank_and_the_highest_of_all_else(monitor: str, mode: str) -> None:
    assert RunOptions(monitor=monitor).monitor_mode == mode
