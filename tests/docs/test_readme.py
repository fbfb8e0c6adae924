"""The parts of one's own that the documents show work as they stand there."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cli.lightning_cli import RetrievalCLI
from tests.docs.documents import shown_files
from tests.support.layouts import write_audio

TEXT_TO_AUDIO = "text_to_audio"


@pytest.fixture(autouse=True)
def _shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in shown_files().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(RetrievalCLI, "_run_subcommand", lambda self, subcommand: None)


FEW_CLIPS = ("--data.train_clips", "8", "--data.validation_clips", "2", "--data.test_clips", "2")
"""Of the synthetic corpus, which is rendered, and its captions embedded, before the model is built."""


def built(*options: str, config: str = "demo_listnet.yaml", clips: tuple[str, ...] = FEW_CLIPS) -> Any:
    """What train.py builds."""
    return RetrievalCLI(["fit", "--config", config, "--trainer.logger", "false", *clips, *options])


@pytest.mark.slow
def test_a_relevance() -> None:
    relevance = built(config="my_idea.yaml").model.relevance
    relevance.prepare(["a", "b", "c"], torch.tensor([5, 5, 6]).numpy())
    expected = torch.tensor([[1, 1, 0.2], [1, 1, 0.2], [0.2, 0.2, 1]])
    torch.testing.assert_close(relevance(torch.arange(3), torch.arange(3), TEXT_TO_AUDIO), expected)


@pytest.mark.slow
def test_a_scoring_function() -> None:
    name = "--model.relevance.scoring"
    scoring = built(name, "my_scoring.Power", f"{name}.exponent", "3").model.relevance.scoring
    torch.testing.assert_close(scoring(torch.tensor([-0.5, 0.5, 1.0])), torch.tensor([0, 0.125, 1]))


@pytest.mark.slow
def test_an_objective() -> None:
    objective = built("--model.objective", "my_objective.Regression").model.objective
    assert float(objective(torch.eye(3), torch.eye(3))) == 0
    assert float(objective(torch.eye(3), torch.zeros(3, 3))) == pytest.approx(1 / 3)


@pytest.mark.slow
def test_an_objective_with_a_trained_constant() -> None:
    objective = built("--model.objective", "my_hinge.LearnedMargin", config="zoo_base.yaml").model.objective
    loss = objective(torch.tensor([[0.5, 0.4], [0.1, 0.9]]), torch.eye(2))
    loss.backward()
    assert loss.item() == pytest.approx((0.1 + 0) / 2 - 0.2)
    assert objective.margin.grad.item() == pytest.approx(0.5 - 1)


@pytest.mark.slow
def test_an_audio_encoder() -> None:
    model = built("--model.audio_encoder", "my_encoder.Loudness").model
    embeddings = model.embed_audio(torch.rand(2, 800), torch.tensor([800, 500]))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))


@pytest.mark.slow
def test_a_data_set(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text(f"file,caption\n{split}.wav,a dog\nnone.wav,a cat\n", encoding="utf-8")
        write_audio(tmp_path / split / f"{split}.wav")
    data = built("--data", "my_data.MyData", "--data.root", str(tmp_path), clips=()).datamodule
    assert data.read_captions()[0] == ["a dog", "a cat"] * 3
    assert data.read_split("test").audio["name"].to_pylist() == ["test.wav"]
