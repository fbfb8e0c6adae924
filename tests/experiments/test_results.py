"""Run folders: what a fit, a test and a validation leave in them, recomputed; and what happens when something fails."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from matplotlib.figure import Figure

from common.atomic_files import replacing
from common.directions import DIRECTIONS
from common.errors import RunError
from datamodules.audio import AudioInfo
from datamodules.table import split_table
from experiments.callbacks.progress_bar import ProgressBar
from experiments.callbacks.result_writer import RunWriter
from experiments.figures.run import draw_run
from experiments.loggers.csv_logger import MetricsLogger, read_rows
from experiments.provenance import check_same_training, git_state, package_versions, update_provenance
from experiments.results.metrics_table import NOTE, print_results
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RunFolder, RunOptions
from lightning_modules.dual_encoder import DualEncoder
from tests.support.tiny import TinyData, tiny_model, tiny_trainer

STAGES = {"test": "test", "validation": "validate"}


class Tabled(TinyData):
    """Captions that all differ, so that nothing ties, with dollar signs; and tables, as the real data modules have."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"train": 8, "held_out": 12, "graded": True, **options})
        self.captions = [rf"{caption} $\{chr(33 + i)}$" for i, caption in enumerate(self.captions)]
        self.tables = {}
        for split, audio_ids in self.audio_ids.items():
            rows = [(audio, f"{audio}.wav", Path(f"{audio}.wav"), AudioInfo(40, 100)) for audio in audio_ids]
            captions = [(i, row, self.captions[i]) for row, a in enumerate(audio_ids) for i in self.captions_of(a)]
            self.tables[split] = split_table(rows, captions, missing=["gone.wav"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, DualEncoder]]:
    """The folder of a run of two epochs, tested and validated, and the model after each of both."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "tiny [a]$b$" / "7")
    models = {}
    for split, stage in (("fit", "fit"), *STAGES.items()):
        callbacks = [RunWriter(folder, folder.path, seed=7)]
        logger = MetricsLogger(folder.path, "metrics.csv" if stage == "fit" else f"metrics_{stage}.csv")
        trainer = tiny_trainer(folder.path, max_epochs=2, logger=[logger], callbacks=callbacks, log_every_n_steps=1)
        models[split] = tiny_model()
        silent = {} if stage == "fit" else {"verbose": False}
        getattr(trainer, stage)(models[split], datamodule=Tabled(), **silent)
    return folder, models


# ------------------------------------------------------------------------------------------------------------- files


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "results.csv"
    with replacing(target) as path:
        path.write_text("first")
        assert (path.parent, path.suffix, target.exists()) == (target.parent, ".csv", False)

    def fail(name: str) -> None:
        with replacing(target.with_name(name)) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    for name in ("results.csv", "other.csv"):
        with pytest.raises(KeyboardInterrupt):
            fail(name)
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["results.csv"]
    with replacing(target) as path:
        path.write_text("second")
    assert target.read_text() == "second"
    assert os.listdir(target.parent) == ["results.csv"]


# -------------------------------------------------------------------------------------------------------- run folder


def filled(path: Path, *names: str) -> RunFolder:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("x")
    return RunFolder(path)


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


# ----------------------------------------------------------------------------------------------------- metrics logger

NAMES = st.sampled_from(["train/loss", "val/loss", "train/lr", "val/text_to_audio/mAP@10", "a,b", 'say "x"'])
ROWS = st.lists(st.dictionaries(NAMES, st.floats(width=32), min_size=1), max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS, more=ROWS)
def test_metrics_come_back_as_they_were_also_after_a_resume(tmp_path: Path, rows: list[Any], more: list[Any]) -> None:
    (tmp_path / "metrics.csv").unlink(missing_ok=True)
    expected: list[dict[str, float]] = []
    for part in (rows, more):
        logger = MetricsLogger(tmp_path, "metrics.csv", resume=part is more, flush_every=3)
        for metrics in part:
            logger.log_metrics(metrics, step=len(expected))
            expected.append({"step": len(expected), **metrics})
        logger.finalize("success")
    path = tmp_path / "metrics.csv"
    assert path.exists() == bool(expected)
    if expected:
        found = read_rows(path)
        assert [set(row) for row in found] == [set(row) for row in expected]
        for row, theirs in zip(found, expected, strict=True):
            assert row == pytest.approx(theirs, nan_ok=True, rel=0, abs=0)


def test_the_file_is_written_at_each_evaluation_and_every_few_rows(tmp_path: Path) -> None:
    logger = MetricsLogger(tmp_path / "exp" / "3", "metrics.csv", flush_every=3)
    written = []
    for step, name in enumerate(["train/loss", "val/loss", "train/loss", "train/loss", "train/loss", "train/loss"]):
        logger.log_metrics({name: 0.5, "epoch": 0}, step)
        written.append(len(read_rows(logger.path)) if logger.path.exists() else 0)
    assert written == [0, 2, 3, 3, 3, 6]
    assert logger.path.read_text().splitlines()[0] == "epoch,step,train/loss,val/loss"
    assert (logger.name, logger.version, logger.log_dir) == ("exp", "3", str(tmp_path / "exp" / "3"))


def test_a_run_that_died_after_its_checkpoint_logs_each_step_once_when_resumed(tmp_path: Path) -> None:
    def fit(*, resume: bool, **options: Any) -> None:
        keep = ModelCheckpoint(dirpath=tmp_path, save_last=True, enable_version_counter=False)
        logger = MetricsLogger(tmp_path, "metrics.csv", resume=resume)
        trainer = tiny_trainer(
            tmp_path, logger=[logger], callbacks=[keep], enable_checkpointing=True, log_every_n_steps=1, **options
        )
        last = tmp_path / "last.ckpt" if resume else None
        trainer.fit(tiny_model(), datamodule=TinyData(train=8), ckpt_path=last, weights_only=resume or None)

    fit(resume=False, max_epochs=2)
    logger = MetricsLogger(tmp_path, "metrics.csv", resume=True)
    first = read_rows(logger.path)
    steps = 1 + int(first[-1]["step"])
    for step in (steps, steps + 1):  # of an epoch that was not finished
        logger.rows.append({"epoch": 2.0, "step": step, "train/loss": 99.0})
    logger.finalize("failed")
    fit(resume=True, max_epochs=3)
    rows = read_rows(logger.path)
    assert rows[: len(first)] == first
    trained = [row["step"] for row in rows if "train/loss" in row]
    assert trained == list(range(steps // 2 * 3))
    assert 99.0 not in [row.get("train/loss") for row in rows]
    assert [row["epoch"] for row in rows if "val/loss" in row] == [0, 1, 2]


def test_figures_of_a_former_test_go_when_training_goes_on(tmp_path: Path) -> None:
    logger = MetricsLogger(tmp_path, "metrics.csv")
    for step, name in ((9, "train/loss"), (11, "val/loss"), (12, "test/text_to_audio/R@1")):
        logger.log_metrics({name: 0.5}, step)
    goes_on = MetricsLogger(tmp_path, "metrics.csv", resume=True)
    goes_on.log_metrics({"train/loss": 0.25}, 19)  # with every tenth step logged
    assert [row["step"] for row in goes_on.rows] == [9, 11, 19]
    tested = MetricsLogger(tmp_path, "metrics.csv", resume=True)
    tested.log_metrics({"test/text_to_audio/R@1": 0.75}, 12)
    assert [row for row in tested.rows if row["step"] == 12] == [{"step": 12, "test/text_to_audio/R@1": 0.75}]


@pytest.mark.parametrize("text", ["step,train/loss\n1,high\n", "step\n1,2,3\n", "\x00\n\xff"])
def test_a_file_that_is_no_table_of_numbers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"metrics\.csv: not a table of numbers \(.*\); delete it, or repeat the run$"):
        MetricsLogger(tmp_path, "metrics.csv", resume=True)
    assert MetricsLogger(tmp_path, "metrics.csv").rows == []


# --------------------------------------------------------------------------------------------------- per-query results


def of_ranks(ranks: list[int]) -> dict[str, float]:
    """All metrics of one query from the ranks of its relevant items."""
    ranks = sorted(ranks)
    precisions = [(i + 1) / rank for i, rank in enumerate(ranks) if rank <= 10]
    return {
        "AP@10": sum(precisions) / max(len(precisions), 1),
        "AP@10_all": sum(precisions) / len(ranks),
        **{f"R@{k}": sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5, 10)},
        **{f"hit@{k}": float(ranks[0] <= k) for k in (1, 5, 10)},
        "first_rank": float(ranks[0]),
        "tied": 0.0,
    }


@pytest.mark.parametrize("split", STAGES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_row_follows_from_the_embeddings(run: Any, split: str, direction: str) -> None:
    folder, models = run
    model, data = models[split], Tabled()
    audio_ids = list(data.audio_ids[split])
    caption_ids = [i for i, audio in enumerate(data.audio_of) if audio in audio_ids]
    clip = {("text_to_audio", i): data.audio_of[i] for i in caption_ids}
    clip |= {("audio_to_text", audio): audio for audio in audio_ids}
    scores = (model.evaluation.pool.text @ model.evaluation.pool.audio.T).numpy()
    item_ids, items = audio_ids, [f"{audio}.wav" for audio in audio_ids]
    query_ids, queries = caption_ids, [data.captions[i] for i in caption_ids]
    if direction == "audio_to_text":
        scores, query_ids, queries, item_ids, items = scores.T, item_ids, items, query_ids, queries
    rows = rows_of(read_queries(folder.queries(split)), direction)
    assert [row["query_id"] for row in rows] == query_ids
    for query, (row, line) in enumerate(zip(rows, scores, strict=True)):
        mine = clip[direction, query_ids[query]]
        relevant = [mine] if direction == "text_to_audio" else data.captions_of(mine)
        best = np.argsort(-line)[:10]
        expected: dict[str, Any] = of_ranks([1 + int((line > line[item_ids.index(i)]).sum()) for i in relevant])
        expected |= {"direction": direction, "query_id": query_ids[query], "query": queries[query], "clip_id": mine}
        expected |= {"pool_size": len(items), "relevant_ids": relevant}
        expected |= {"top10_ids": [item_ids[i] for i in best], "top10_items": [items[i] for i in best]}
        assert row.pop("nDCG@10") == model.evaluation.rankings[direction].graded["nDCG@10"][query]
        assert row.pop("top10_scores") == pytest.approx(line[best], abs=1e-6)
        metrics = {name: row.pop(name) for name in of_ranks([1])}
        assert metrics == pytest.approx({name: expected.pop(name) for name in metrics})
        assert row == expected


def test_the_parquet_file_names_its_split_and_manifest(run: Any) -> None:
    for split in STAGES:
        metadata = pq.read_schema(run[0].queries(split)).metadata
        assert metadata[b"split"].decode() == split
        assert metadata[b"manifest_sha256"].decode() == Tabled().tables[split].manifest()["sha256"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "footer", "pages"])
def test_results_that_cannot_be_read_are_refused_in_one_line(run: Any, tmp_path: Path, damage: str) -> None:
    content = run[0].queries("test").read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    damaged = {
        "empty": b"",
        "text": b"direction,query\n",
        "cut": content[:-100],
        "footer": content[: -8 - footer] + bytes(footer) + content[-8:],
        "pages": content[:4] + b"\xff" * (len(content) - footer - 12) + content[-8 - footer :],
    }
    path = tmp_path / "queries_test.parquet"
    path.write_bytes(damaged[damage])
    with pytest.raises(RunError) as caught:
        read_queries(path)
    message = str(caught.value)
    assert re.fullmatch(rf"{path}: cannot be read \(.+\); run `python train\.py test` again", message)


def test_missing_results_tell_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"queries_test\.parquet: no per-query results; run `python train\.py test` for"):
        draw_run(RunFolder(tmp_path))
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------- provenance


def test_the_stages_of_a_run_accumulate_in_its_provenance(run: Any) -> None:
    content = json.loads((run[0].path / "provenance.json").read_text())
    data = Tabled()
    assert list(content) == ["fit", "test", "validate"]
    for facts in content.values():
        assert facts["seed"] == 7
        assert facts["git"] == {"commit": None, "dirty": None}  # the code's folder is none of git's here
        assert facts["versions"] == package_versions()
        assert (facts["device"], facts["devices"], facts["precision"]) == ("cpu", 1, "32-true")
        assert 0 <= facts["wall_seconds"] < 600
        assert facts["data"] == {split: table.manifest() for split, table in data.tables.items()}
        assert facts["data"]["test"]["missing"] == ["gone.wav"]
    assert (content["fit"]["epochs"], content["fit"]["steps"]) == (2, 2 * len(data.train_dataloader()))
    assert content["test"]["checkpoint"] == content["validate"]["checkpoint"] == ""
    assert package_versions()["numpy"] == np.__version__


def test_git_knows_the_commit_and_whether_there_are_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    assert git_state(tmp_path) == {"commit": None, "dirty": False}
    git("commit", "--allow-empty", "-m", "x")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "new.py").touch()
    assert git_state(tmp_path)["dirty"] is True


def test_a_stage_replaces_its_own_facts_and_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    for stage, number in (("fit", 1), ("test", 2), ("fit", 3)):
        update_provenance(path, stage, {"number": number})
    assert json.loads(path.read_text()) == {"fit": {"number": 3}, "test": {"number": 2}}
    path.write_text("{")
    with pytest.raises(RunError, match=r"provenance\.json: not JSON \(.*\); delete it$"):
        update_provenance(path, "fit", {})
    assert path.read_text() == "{"


def test_a_training_is_resumed_on_as_many_devices_with_the_same_recordings(tmp_path: Path) -> None:
    data = {split: table.manifest() for split, table in Tabled().tables.items()}
    check_same_training(tmp_path, data, 2)  # nothing is known of it
    former = {"devices": 2, "data": {split: data[split] for split in ("train", "validation")}}
    update_provenance(tmp_path / "provenance.json", "fit", former)
    check_same_training(tmp_path, data, 2)
    moved = {**data["train"], "missing": [], "share_present": 1.0}  # what is there is the same
    check_same_training(tmp_path, {**data, "train": moved}, 2)
    with pytest.raises(
        RunError, match=r"with another number of devices \(2 before, 1 now\), since the global batch wou"
    ):
        check_same_training(tmp_path, data, 1)
    for key, value in {"clips": 7, "captions": 23, "sha256": "0" * 64}.items():
        other = {**data["validation"], key: value}
        with pytest.raises(RunError, match=r"other recordings \(validation: 12 with 36 captions, sha256 \w+ before, "):
            check_same_training(tmp_path, {**data, "validation": other}, 2)


def test_ranks_that_found_different_things_to_do_are_stopped(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, max_epochs=1, callbacks=[RunWriter(RunFolder(tmp_path), tmp_path, 0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.strategy, "broadcast", lambda resume: not resume)  # the first rank's
        with pytest.raises(
            RunError, match=r"wrote its first checkpoint while this run began; give the same command ag"
        ):
            trainer.fit(tiny_model(), datamodule=Tabled())


@pytest.mark.parametrize("resume", [False, True])
def test_an_earlier_run_goes_when_a_new_one_begins_but_not_when_it_goes_on(tmp_path: Path, resume: bool) -> None:
    folder = filled(tmp_path, "checkpoints/best.ckpt", "queries_test.parquet", "wandb/log.txt")
    torch.save({"state_dict": {}}, folder.best)
    trainer = tiny_trainer(tmp_path, max_epochs=1, callbacks=[RunWriter(folder, tmp_path, 0, resume=resume)])
    trainer.fit(tiny_model(), datamodule=Tabled())
    assert folder.best.exists() == folder.queries("test").exists() == resume
    assert {"wandb", "provenance.json"} <= set(os.listdir(tmp_path))
    assert not folder.queries("validation").exists()  # those inside `fit` are not reported
    trainer.test(tiny_model(), datamodule=Tabled(), verbose=False)
    assert folder.best.exists() == resume
    assert list(json.loads((tmp_path / "provenance.json").read_text())) == ["fit", "test"]


# ------------------------------------------------------------------------------------------------- tables and figures


def test_every_result_is_printed_beside_its_chance(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = run[1]["test"]
    print_results(model.evaluation, RunFolder(Path("runs/tiny [a]/7")))
    printed = capsys.readouterr().out
    assert printed.startswith("runs/tiny [a]/7 (test split)")
    assert " ".join(NOTE.split()) in " ".join(printed.split())
    lines = {line.strip("│ ").split(" ")[0]: line for line in printed.splitlines() if line.startswith("│")}
    shown = {name: [float(value) for value in re.findall(r"-?\d+\.\d", line)] for name, line in lines.items()}
    names = ("mAP@10", "mAP@10_all", "R@1", "R@5", "R@10", "hit@1", "hit@5", "hit@10", "median_rank", "mean_rank")
    for name in (*names, "nDCG@10"):
        pairs = [(result.summary()[name], result.chance()[name]) for result in model.evaluation.rankings.values()]
        scale = 1 if name.endswith("rank") else 100
        assert shown[name] == pytest.approx([scale * value for pair in pairs for value in pair], abs=0.051), name
    assert shown["tie_rate"] == [0.0, 0.0]
    assert "36 in 12" in printed
    assert "12 in 36" in printed


@pytest.mark.parametrize("metrics", [True, False])
def test_the_figure_shows_the_curve_and_five_queries(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: bool
) -> None:
    folder = RunFolder(tmp_path / "a$b$" / "7")
    folder.path.mkdir(parents=True)
    for source in [run[0].queries("test"), *([run[0].metrics] if metrics else [])]:
        (folder.path / source.name).write_bytes(source.read_bytes())
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))[1])
    monkeypatch.setitem(matplotlib.rcParams, "backend", "svg")  # as in a notebook: not to be changed
    draw_run(folder)
    assert matplotlib.rcParams["backend"] == "svg"
    assert folder.figure.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(os.listdir(folder.path)) == sorted(["figure.png", "queries_test.parquet", *["metrics.csv"] * metrics])
    curve, examples, scores = drawn[0].axes
    lines = {line.get_label(): np.size(line.get_xdata()) for axes in (curve, scores) for line in axes.get_lines()}
    steps = 2 * len(Tabled().train_dataloader())
    expected = {"train/loss": steps, "val/loss": 2, "val mAP@10, text to audio": 2}
    assert lines == (expected if metrics else {})
    rows = rows_of(read_queries(folder.queries("test")), "text_to_audio")
    score = 100 * np.mean([row["AP@10"] for row in rows])
    assert drawn[0].get_suptitle() == f"a$b$, seed 7: text to audio mAP@10 {score:.1f} % (test, 36 queries, pool of 12)"
    headings = [text.get_text() for text in examples.texts if text.get_text().startswith("“")]
    ranks = [float(re.search(r"rank ([\d.]+)\)$", heading)[1]) for heading in headings]  # type: ignore[index]
    assert ranks == sorted(ranks)
    assert len(headings) == 5
    assert len(examples.texts) == 5 * 6


def test_the_progress_bar_shows_three_figures_by_short_names(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"v_num": 3, "train/loss": 0.5, "train/tau": 0.1, "val/text_to_audio/mAP@10": 0.25}
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *_: dict(known))
    assert ProgressBar().get_metrics(None, None) == {"loss": 0.5, "val mAP@10": 0.25}  # type: ignore[arg-type]
