"""An objective and a target in a file of the working directory: trained, logged, saved, and tested again."""

from pathlib import Path

import pytest
import torch
import yaml

from experiments.loggers.csv_logger import read_rows
from tests.support.runs import arguments
from train import main

pytestmark = pytest.mark.slow

MODULE = """
import torch
from relevance.base import Relevance
from relevance.objectives import ScoreLoss, most_relevant


class Shifted(ScoreLoss):
    def __init__(self, direction="both", tau: float = 0.1, shift: float = 0.5):
        super().__init__(direction, tau)
        self.shift = torch.nn.Parameter(torch.tensor(shift))

    def values(self):
        return {**super().values(), "shift": self.shift}

    def loss(self, scores, relevance):
        own = scores.masked_fill(~most_relevant(relevance), 0).sum(1)
        return torch.nn.functional.softplus(scores.logsumexp(1) - own + self.shift).mean()


class Uneven(Relevance):
    def name_recordings(self, names):
        self.names = list(names)

    def prepare(self, captions, audio_ids):
        self.audio_ids = torch.as_tensor(audio_ids)
        assert len(self.names) == int(self.audio_ids.max()) + 1

    def forward(self, query_ids, item_ids, direction):
        same = self.audio_ids[query_ids][:, None] == self.audio_ids[item_ids][None, :]
        return torch.where(same, 1.0, 0.3 if direction == "text_to_audio" else 0.1)
"""


def test_both_need_no_change_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_parts.py").write_text(MODULE)
    parts = {
        "objective": {"class_path": "my_parts.Shifted", "init_args": {"shift": 0.25}},
        "relevance": {"class_path": "my_parts.Uneven"},
    }
    Path("own.yaml").write_text(yaml.safe_dump({"model": parts}))
    common = [*arguments(tmp_path), "--config", "own.yaml", "--run.experiment", "own", "--model.objective.tau", "0.2"]
    assert main(["fit", *common]) == 0, capsys.readouterr().err
    run = tmp_path / "runs" / "own" / "0"
    logged = {name for row in read_rows(run / "metrics.csv") for name in row}
    assert {"train/shift", "train/tau", "val/loss"} <= logged
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert saved["objective.shift"] != 0.25
    assert main(["test", *common, "--run.overwrite", "true"]) == 0, capsys.readouterr().err
