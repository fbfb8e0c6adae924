"""A pretrained pair is evaluated without `fit`, fine-tuned, resumed and embedded with by the usual commands."""

from pathlib import Path

import pytest
import torch

from experiments.results.pool_file import read_pool
from experiments.run_folder import RunFolder
from retrieval import load_run
from tests.support.pairs import save_clap
from tests.support.runs import arguments
from train import main

pytestmark = pytest.mark.slow


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    pair = ["--config", "clap_pair.yaml", "--model.pair.name", str(save_clap(tmp_path / "clap", seconds=1))]
    return [*arguments(tmp_path), *pair, "--model.optimizer.lr", "1e-3", "--run.experiment", "pair"]


def test_a_pair_is_tested_as_it_is_then_trained_and_resumed(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "runs/pair/0")
    main(["test", *flags])
    assert "mAP@10" in capsys.readouterr().out
    untrained = read_pool(folder.pool("test"))
    published = load_run(str(tmp_path / "clap"), "cpu")
    text = published.encode_text(untrained.captions, output="torch")
    assert (text - untrained.text).abs().max() < 1e-5
    main(["predict", *flags])
    assert folder.embeddings.is_file()
    main(["fit", *flags, "--run.overwrite", "true"])
    trained = read_pool(folder.pool("test"))
    assert not trained.text.equal(untrained.text)
    assert not trained.audio.equal(untrained.audio)
    main(["fit", *flags, "--run.resume", "true", "--trainer.max_epochs", "2"])
    assert torch.load(folder.last, weights_only=True)["epoch"] == 1
    assert load_run(folder.path, "cpu").encode_text(["rain"]).shape == (1, 8)
