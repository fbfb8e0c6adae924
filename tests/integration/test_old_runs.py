"""Runs that version 0.1.0 left are read; what is made today is not changed by that."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from common.renamed import HEADS, weights_with_new_names, with_new_names
from experiments.saved_config import read_saved_config
from tests.support.runs import arguments
from train import main

FORMER_CLASSES = {"relevance.targets.CaptionSimilarity": "relevance.similarity.CaptionSimilarity"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of today, and a copy of it under the names of 0.1.0 in runs/old."""
    folder = tmp_path_factory.mktemp("old")
    assert main(["fit", *arguments(folder)]) == 0
    return folder


def age(run: Path) -> None:
    """Write a run's config and checkpoints as 0.1.0 would have."""
    path = run / "config_fit.yaml"
    config = yaml.safe_load(path.read_text())
    config["model"].update(config["model"].pop("matcher")["init_args"])
    for key in ("audio_pooling", "text_pooling"):
        del config["model"][key]
    for key in ("captions_per_epoch", "train_fraction"):  # options that came later
        del config["data"]["init_args"][key]
    del config["model"]["cache_frozen"]
    text = yaml.safe_dump(config, sort_keys=False)
    for now, before in FORMER_CLASSES.items():
        assert now in text
        text = text.replace(now, before)
    path.write_text(text)
    for name in ("best.ckpt", "last.ckpt"):
        checkpoint: dict[str, Any] = torch.load(run / "checkpoints" / name, weights_only=True)
        state = checkpoint["state_dict"]
        for before, now in HEADS.items():
            state = {before + key[len(now) :] if key.startswith(now) else key: value for key, value in state.items()}
        assert any(key.startswith("audio_head.") for key in state)
        checkpoint["state_dict"] = state
        torch.save(checkpoint, run / "checkpoints" / name)


@pytest.mark.slow
def test_a_run_of_the_former_version_is_tested_searched_and_resumed(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from cli.__main__ import main as command

    run = folder / "runs" / "demo_listnet" / "0"
    queries = (run / "queries_test.parquet").read_bytes()
    age(run)
    (run / "queries_test.parquet").unlink()
    assert main(["test", "--config", str(run / "config_fit.yaml")]) == 0
    assert (run / "queries_test.parquet").read_bytes() == queries
    assert "other settings" not in caplog.text
    assert command(["search", "--run", str(run), "--top", "2", "a dog barks"]) == 0
    assert "a dog barks" in capsys.readouterr().out
    assert main(["fit", *arguments(folder, 2), "--run.resume", "true"]) == 0
    assert read_saved_config(run / "config_fit.yaml")["trainer"]["max_epochs"] == 2


@pytest.mark.slow
def test_what_is_made_today_stays_as_it_is(folder: Path) -> None:
    config = yaml.safe_load((folder / "runs" / "demo_listnet" / "0" / "config_fit.yaml").read_text())
    assert with_new_names(config) == config
    assert weights_with_new_names({"matcher.audio_head.weight": 1, "audio_encoder.head": 2}) == {
        "matcher.audio_head.weight": 1,
        "audio_encoder.head": 2,
    }
