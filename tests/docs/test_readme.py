"""What the README shows is what works: its files, run as they stand there, and the files it names."""

import re
from pathlib import Path

import pytest
import torch

from cli.lightning_cli import RetrievalCLI

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (my_\w+\.(?:py|yaml))\n(.*?)```", README, flags=re.S))


def test_own_parts_can_be_named_in_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(FILES) == ["my_encoder.py", "my_idea.yaml", "my_objective.py", "my_relevance.py"]
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(RetrievalCLI, "_run_subcommand", lambda self, subcommand: None)

    model = RetrievalCLI(["fit", "--config", "my_idea.yaml", "--trainer.logger", "false"]).model

    relevance = model.relevance
    relevance.prepare(["a", "b", "c"], torch.tensor([5, 5, 6]).numpy())
    ids = torch.arange(3)
    expected = torch.tensor([[1, 1, 0.2], [1, 1, 0.2], [0.2, 0.2, 1]])
    torch.testing.assert_close(relevance(ids, ids), expected)
    assert float(model.objective(expected, expected)) == 0
    embeddings = model.embed_audio(torch.rand(2, 800), torch.tensor([800, 500]))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./]+)\)|`(\w+/)`", README))))
def test_what_it_names_is_there(path: tuple[str, str]) -> None:
    name = "".join(path)
    if name == "weights/":  # the user makes this one
        return
    assert (Path(__file__).parents[2] / name).exists()


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"--config (\w+(?:\.yaml)?)\b(?!/)", README)) - {"my_idea.yaml"})
)
def test_the_configs_it_names_are_there(name: str) -> None:
    assert (Path(__file__).parents[2] / "configs" / name).is_file()
