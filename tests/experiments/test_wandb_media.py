"""Dashboards: what a run writes for Weights & Biases, read back."""

import contextlib
import hashlib
import io
import json
import os
import shlex
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
import wandb
import yaml
from wandb.proto import wandb_internal_pb2

from experiments.callbacks.harmless import harmless
from experiments.callbacks.wandb_media import best_values
from experiments.loggers.csv_logger import read_rows
from experiments.loggers.wandb_logger import id_file, wandb_logger
from experiments.run_folder import RunFolder
from tests.support.runs import arguments
from train import main

HEAT_MAP = "val/text_to_audio/targets_beside_predictions"


def records(path: Path) -> Iterator[Any]:
    """Records of a .wandb file, which is a LevelDB log: blocks of 32 KiB, each piece with its size and kind."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last piece of one
            yield vars(wandb_internal_pb2)["Record"].FromString(whole)
            whole = b""


class Written:
    """What a folder of an offline run holds: run, config, summary, history, artifacts by type, the exit code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.artifacts: dict[str, Any] = {}
        for record in records(next(folder.glob("*.wandb"))):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
            elif kind == "config":
                self.config |= {item.key: json.loads(item.value_json) for item in record.config.update}
            elif kind == "summary":
                self.summary |= _values(record.summary.update)
            elif kind == "history":
                self.history.append(_values(record.history.item))
            elif kind == "artifact":
                self.artifacts[record.artifact.type] = record.artifact
            elif kind == "exit":
                self.exit_code = record.exit.exit_code

    def rows(self, key: str) -> list[dict[str, Any]]:
        return [row for row in self.history if key in row]

    def entries(self, artifact: str) -> dict[str, Path]:
        """Where the files of an artifact wait for the upload, by name."""
        return {entry.path: Path(entry.local_path) for entry in self.artifacts[artifact].manifest.contents}

    def table(self) -> list[dict[str, Any]]:
        table = json.loads(self.entries("run_table")["test/retrieved.table.json"].read_text())
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "|".join(item.nested_key): json.loads(item.value_json) for item in items}


pytestmark = pytest.mark.slow  # all of them read one training


@pytest.fixture(autouse=True, scope="module")
def _without_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            patch.setenv(name, str(home))
        patch.setenv("NETRC", str(home / "netrc"))
        yield


class Runs(NamedTuple):
    """A training of one epoch, its resumption for another, and a test of its own; what each printed."""

    root: Path
    path: Path
    fit: Written
    resumed: Written
    test: Written
    printed: list[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("dashboard")
    common = ["--run.wandb", "true", "--run.experiment", "tiny+wandb"]
    csv = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(folder / "csv")]
    printed = []
    for command in (
        ["fit", *arguments(folder), *csv],
        ["fit", *arguments(folder, epochs=2), "--run.resume", "true", "--run.wandb_checkpoint", "false"],
        ["test", *arguments(folder)],
    ):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main([*command, *common]) == 0
        printed.append(out.getvalue())
    wandb.teardown()  # ends W&B's own process, which may still be writing; a run's end does not wait for it
    path = folder / "runs" / "tiny+wandb" / "0"
    fit, resumed, test = (Written(part) for part in sorted(path.glob("wandb/offline-run-*")))
    return Runs(folder, path, fit, resumed, test, printed)


def test_runs_are_grouped_by_experiment_and_named_by_seed(runs: Runs) -> None:
    first, resumed, test = runs.fit.run, runs.resumed.run, runs.test.run
    assert {run.run_group for run in (first, resumed, test)} == {"tiny+wandb"}
    assert {run.project for run in (first, resumed, test)} == {"audio-relevance"}
    assert [run.display_name for run in (first, test)] == ["tiny+wandb-0", "tiny+wandb-0-test"]
    assert [run.job_type for run in (first, resumed, test)] == ["fit", "fit", "test"]
    assert [part.exit_code for part in (runs.fit, runs.resumed, runs.test)] == [0, 0, 0]


def test_a_resumed_run_continues_its_dashboard(runs: Runs) -> None:
    assert runs.resumed.run.run_id == runs.fit.run.run_id == id_file(RunFolder(runs.path)).read_text().strip()
    assert runs.resumed.run.resume
    assert runs.test.run.run_id != runs.fit.run.run_id
    assert runs.test.config["fit_run_id"] == runs.fit.run.run_id


def test_every_logger_has_the_same_numbers(runs: Runs) -> None:
    ours = [row for row in read_rows(runs.path / "metrics.csv") if "train/loss" in row]
    (csv_file,) = (runs.root / "csv").rglob("metrics.csv")
    other = [row for row in read_rows(csv_file) if "train/loss" in row]
    dashboard = runs.fit.rows("train/loss") + runs.resumed.rows("train/loss")
    assert len(ours) == len(dashboard) == 2 * len(other) > 0
    names = ["train/loss", "train/lr", "train/tau", "train/target_entropy", "train/gradient_norm"]
    for name in names:
        expected = [row[name] for row in ours]
        assert [row[name] for row in dashboard] == pytest.approx(expected)
        assert [row[name] for row in other] == pytest.approx(expected[: len(other)])
    assert [row["trainer/global_step"] for row in dashboard] == [row["step"] for row in ours]
    assert all(row["train/gradient_norm"] > 0 for row in ours)
    for metric in ("val/loss", "val/text_to_audio/mAP@10", "val/audio_to_text/hit@5"):
        assert len(runs.fit.rows(metric)) == len(runs.resumed.rows(metric)) == 1
    assert len(runs.fit.rows("test/audio_to_text/mAP@10")) == len(runs.test.rows("test/audio_to_text/mAP@10")) == 1


def test_the_summary_has_the_last_and_the_best_values(runs: Runs) -> None:
    values = [row for row in read_rows(runs.path / "metrics.csv") if "val/loss" in row]
    assert len(values) == 2
    for name, best in (("val/loss", min), ("val/text_to_audio/mAP@10", max), ("val/audio_to_text/median_rank", min)):
        assert runs.resumed.summary[name] == pytest.approx(values[-1][name])
        assert runs.resumed.summary[f"best/{name}"] == pytest.approx(best(row[name] for row in values))
    assert runs.fit.summary["best/val/loss"] == pytest.approx(values[0]["val/loss"])


def test_settings_and_provenance_are_in_the_config(runs: Runs) -> None:
    saved = yaml.safe_load((runs.path / "config_test.yaml").read_text())
    assert {key: runs.test.config[key] for key in ("model", "data", "seed_everything")} == {
        key: saved[key] for key in ("model", "data", "seed_everything")
    }
    assert runs.fit.config["model"]["objective"]["init_args"]["tau"] == 0.05
    known = json.loads((runs.path / "provenance.json").read_text())
    provenance = runs.fit.config["provenance"]
    assert set(provenance["data"]) == {"train", "validation", "test"}
    assert provenance["data"]["test"]["sha256"] == known["test"]["data"]["test"]["sha256"]
    assert provenance["git"].keys() == {"commit", "dirty"}
    assert provenance["versions"]["torch"] == torch.__version__


def test_each_validation_has_a_heat_map(runs: Runs) -> None:
    for part in (runs.fit, runs.resumed):
        (row,) = part.rows(f"{HEAT_MAP}|path")
        (step,) = [row["trainer/global_step"] for row in part.rows("val/loss")]
        assert row["trainer/global_step"] == step
        image = (part.folder / "files" / row[f"{HEAT_MAP}|path"]).read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        assert hashlib.sha256(image).hexdigest() == row[f"{HEAT_MAP}|sha256"]
    assert not runs.test.rows(f"{HEAT_MAP}|path")


def test_retrieved_clips_can_be_listened_to(runs: Runs) -> None:
    queries = {row["query"]: row for row in pq.read_table(runs.path / "queries_test.parquet").to_pylist()[:30]}
    truth = np.load(runs.root / "corpus" / "relevance" / "relevance_evaluation.npy")
    rows = runs.test.table()
    assert len(rows) == 15 * 5
    assert runs.test.rows("test/retrieved|nrows")[0]["test/retrieved|nrows"] == len(rows)
    ranks = [row["own_rank"] for row in rows]
    assert ranks == sorted(ranks)
    assert "trainer/global_step" in runs.test.rows("test/retrieved|nrows")[0]
    for number, row in enumerate(rows):
        query, place = queries[row["query"]], number % 5
        assert row["place"] == place + 1
        assert row["own_rank"] == query["first_rank"]
        assert row["file"] == query["top10_items"][place]
        assert row["similarity"] == pytest.approx(query["top10_scores"][place])
        assert row["annotated"] == (query["top10_ids"][place] == query["clip_id"])
        first = min(row["clip_id"] for row in queries.values())  # ids of the split are consecutive
        known = truth[query["clip_id"] - first, query["top10_ids"][place] - first]
        assert row["known_relevance"] == pytest.approx(float(known))
        assert row["learned_relevance"] is None  # a test of its own makes no targets
    files = {row["file"] for row in rows}
    players = {name: path for name, path in runs.test.entries("run_table").items() if name.endswith(".mp3")}
    assert {row["audio"]["path"] for row in rows} == set(players)
    assert len(players) == len(files) <= 6  # each clip once
    for path in players.values():
        info = soundfile.info(path)
        assert (info.channels, info.samplerate) == (1, 32_000)
        assert 0 < info.duration <= 10.1


def test_learned_relevance_is_that_of_the_most_similar_caption(runs: Runs) -> None:
    rows = runs.resumed.table()
    assert all(0 <= row["learned_relevance"] <= 1 for row in rows)
    own = [row["learned_relevance"] for row in rows if row["annotated"]]
    assert own == pytest.approx([max(row["learned_relevance"] for row in rows)] * len(own))  # the query itself
    assert len({round(row["learned_relevance"], 4) for row in rows}) > 5


def test_results_and_model_are_artifacts(runs: Runs) -> None:
    results = runs.fit.entries("results")
    assert set(results) == {"queries_test.parquet", "config_fit.yaml", "provenance.json", "metrics.csv", "figure.png"}
    assert set(runs.test.entries("results")) == {*results, "config_test.yaml"}
    assert (
        runs.test.entries("results")["queries_test.parquet"].read_bytes()
        == (runs.path / "queries_test.parquet").read_bytes()
    )
    model = runs.fit.artifacts["model"]
    assert model.name == "tiny-wandb-0-model"  # W&B allows no + in it
    assert runs.fit.entries("model") == {"best.ckpt": runs.path / "checkpoints" / "best.ckpt"}  # not copied
    (validation,) = runs.fit.rows("val/loss")
    facts = json.loads(model.metadata)
    assert facts["monitor"] in validation
    assert facts["value"] == pytest.approx(validation[facts["monitor"]])
    assert len(facts["weights_sha256"]) == 64
    assert "model" not in runs.resumed.artifacts  # left out by run.wandb_checkpoint
    assert "model" not in runs.test.artifacts
    assert len(runs.fit.rows("figure|path")) == 1


def test_the_upload_is_named_in_one_line(runs: Runs) -> None:
    parts = {"fit": [runs.fit], "resumed": [runs.fit, runs.resumed], "test": [runs.test]}
    for text, expected in zip(runs.printed, parts.values(), strict=True):
        (line,) = [line for line in text.splitlines() if "wandb sync" in line]
        command = shlex.split(line.partition("wandb sync ")[2])
        assert [Path(path).resolve() for path in command] == [part.folder.resolve() for part in expected]


def test_an_agent_names_its_runs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "sweep" / "0")
    folder.path.mkdir(parents=True)
    id_file(folder).write_text("former\n")
    assert wandb_logger("p", folder, "fit", resume=True).version == "former"
    assert wandb_logger("p", folder, "fit").version is None
    monkeypatch.setenv("WANDB_RUN_ID", "agents")
    assert wandb_logger("p", folder, "fit", resume=True).version is None


def test_a_server_out_of_reach_makes_a_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    modes = []

    def init(**options: Any) -> str:
        modes.append(options["mode"])
        if options["mode"] == "online":
            raise wandb.errors.CommError("no route\nto host")
        return "the run"

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "init", init)
    assert wandb_logger("p", RunFolder(tmp_path / "unreachable" / "0"), "fit").experiment == "the run"
    assert modes == ["online", "offline"]
    assert "cannot be used (no route to host); the run is written offline" in caplog.text


def test_a_failure_ends_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with harmless("heat map"):
        raise OSError("disk\nfull")
    assert "Weights & Biases: no heat map (OSError: disk full)" in caplog.text
    with pytest.raises(KeyboardInterrupt), harmless("heat map"):
        raise KeyboardInterrupt


def test_best_values_leave_out_what_is_neither_good_nor_bad() -> None:
    rows = [{"val/a/mean_rank": 3.0, "val/a/items": 9.0, "val/a/tie_rate": 0.5}, {"val/a/mean_rank": 2.0}]
    assert best_values(rows) == {"best/val/a/mean_rank": 2.0}
