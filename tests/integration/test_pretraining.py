"""The paper's two stages in little: pretraining on three data sets in their official layouts, then fine-tuning."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.support.corpus import write_corpus
from tests.support.layouts import write_audiocaps, write_wavcaps
from train import main

pytestmark = pytest.mark.slow

SMALL = {
    "trainer.max_epochs": 1,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "trainer.log_every_n_steps": 1,
    "data.batch_size": 3,
    "data.num_workers": 0,
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_corpus(tmp_path / "data" / "clotho")
    write_audiocaps(tmp_path / "data" / "audiocaps")
    write_wavcaps(tmp_path / "data" / "wavcaps")
    for path in ("BBC_Sound_Effects/bbc_final", "SoundBible/sb_final"):
        file = tmp_path / "data" / "wavcaps" / "json_files" / f"{path}.json"
        file.parent.mkdir()
        file.write_text('{"data": [{"id": "7", "caption": "A sound that is not there."}]}')
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(config: str, **options: object) -> int:
    flags = [text for name, value in {**SMALL, **options}.items() for text in (f"--{name}", str(value))]
    return main(["fit", "--config", config, "--config", "small.yaml", "--run.experiment", config, *flags])


@pytest.mark.parametrize(("method", "data_set"), [("listnet", "audiocaps"), ("infonce", "clotho")])
def test_pretraining_then_fine_tuning(data: Path, method: str, data_set: str) -> None:
    assert fit(f"pretrain_{method}") == 0
    pretrained = data / "runs" / f"pretrain_{method}" / "0" / "checkpoints" / "best.ckpt"
    queries = pq.read_table(pretrained.parents[1] / "queries_test.parquet").to_pylist()
    assert {row["pool_size"] for row in queries if row["direction"] == "text_to_audio"} == {4}  # Clotho's

    frozen = {"model.optimizer.lr": 0, "model.optimizer.weight_decay": 0}
    assert fit(f"{data_set}_{method}_pretrained", **frozen) == 0
    tuned = data / "runs" / f"{data_set}_{method}_pretrained" / "0" / "checkpoints" / "last.ckpt"
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in (pretrained, tuned))
    trained = [name for name in before if "running" not in name and "num_batches" not in name]
    assert trained
    assert all(torch.equal(before[name], after[name]) for name in trained)  # began with these, learned nothing


def test_fine_tuning_without_the_first_stage(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("clotho_listnet_pretrained") == 1
    assert "runs/pretrain_listnet/0/checkpoints/best.ckpt: no such weights file" in capsys.readouterr().err
