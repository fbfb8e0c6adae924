"""Tables of teachers: what a run embeds of the training and validation splits, made once, and resumed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import ModelError, RunError
from datamodules.clotho import Clotho
from lightning_modules.audio_encoders import ExpertFeatures
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import CollaborativeExperts, Cosine
from relevance.objectives import InfoNCE
from relevance.targets import EstimatedCorrespondence, SameAudio
from retrieval import open_model, teachers
from retrieval.finished_model import FinishedModel
from retrieval.teachers import MakeTeacherTables, make_table, taught_data
from tests.support.expert_features import made_up, write_features
from tests.support.recordings import embedded, model_of, other_weights
from tests.support.tiny import TinyData, TinyText, tiny_model, tiny_trainer

CPU = torch.device("cpu")


def test_a_table_holds_what_the_teacher_embeds_alone(teacher: Path, data: Clotho, tmp_path: Path) -> None:
    table, rows = make_table(str(teacher), data, CPU, tmp_path), taught_data(data)
    model = model_of(teacher)
    assert table.audio.dtype == table.text.dtype == np.float16
    captions, names = data.read_captions()[0], data.read_names()
    splits = {name: split for split in ("train", "validation") for name in data.tables[split].audio["name"].to_pylist()}
    assert sorted(splits) == sorted(names[i] for i in rows.audio_ids)  # and so nothing of the test split
    for audio_id, vector in zip(rows.audio_ids, table.audio, strict=True):
        folder = data.root / "clotho_audio_files" / data.official(splits[names[audio_id]])
        np.testing.assert_allclose(vector, embedded(model, folder / names[audio_id]), atol=2e-3)
    with torch.inference_mode():
        alone = torch.cat([model.embed_text([captions[i]]) for i in rows.caption_ids])
    np.testing.assert_allclose(table.text, alone, atol=1e-3)


class Counting:
    """Counts what models embed, and stops like a kill after so many recordings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_after: int = 999) -> None:
        self.recordings, self.captions, self.stop_after = 0, 0, stop_after
        self._load = open_model.load_run
        monkeypatch.setattr(teachers, "load_run", self.load)

    def load(self, *arguments: Any) -> Any:
        opened = self._load(*arguments)
        hear, read = opened.model.embed_audio, opened.model.embed_text

        def counted(*inputs: torch.Tensor) -> torch.Tensor:
            if self.recordings + len(inputs[0]) > self.stop_after:
                raise KeyboardInterrupt
            self.recordings += len(inputs[0])
            return hear(*inputs)

        def counted_texts(captions: list[str]) -> torch.Tensor:
            self.captions += len(captions)
            return read(captions)

        opened.model.embed_audio, opened.model.embed_text = counted, counted_texts  # type: ignore[method-assign]
        return opened


def test_a_killed_embedding_is_resumed_and_a_finished_one_not_repeated(
    teacher: Path, data: Clotho, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_table(str(teacher), data, CPU, tmp_path / "whole")
    monkeypatch.setattr(teachers, "CHUNK", 2)
    with monkeypatch.context() as patch:
        killed = Counting(patch, stop_after=5)
        with pytest.raises(KeyboardInterrupt):
            make_table(str(teacher), data, CPU, tmp_path / "killed")
    with monkeypatch.context() as patch:
        after = Counting(patch)
        resumed = make_table(str(teacher), data, CPU, tmp_path / "killed")
    assert (killed.recordings, after.recordings, after.captions) == (4, len(whole.audio) - 4, 0)
    np.testing.assert_allclose(resumed.audio, whole.audio, atol=1e-3)
    again = Counting(monkeypatch)
    repeated = make_table(str(teacher), data, CPU, tmp_path / "killed")
    assert (again.recordings, again.captions) == (0, 0)
    np.testing.assert_array_equal(repeated.audio, resumed.audio)


def test_other_weights_and_other_data_have_tables_of_their_own(
    teacher: Path, copied: Path, data: Clotho, student_data: Callable[[Path], Clotho], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"

    def tables() -> int:
        return len(list((cache / "teachers").glob("*.npy")))

    first = make_table(str(teacher), data, CPU, cache)
    make_table(str(copied), data, CPU, cache)  # the same weights elsewhere
    assert tables() == 2  # of recordings and of captions
    other_weights(copied, tmp_path).rename(copied / "checkpoints" / "best.ckpt")
    second = make_table(str(copied), data, CPU, cache)
    assert tables() == 4
    assert np.abs(first.audio - second.audio).max() > 0.01
    root = Path(shutil.copytree(data.root, tmp_path / "clotho"))
    file = root / "clotho_csv_files" / "clotho_captions_development.csv"
    file.write_text(file.read_text().replace("heard 1 times", "heard once"))
    make_table(str(teacher), student_data(root), CPU, cache)
    assert tables() == 6


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("runs/no_such/0", ModelError, "teacher 'runs/no_such/0': no such folder; give a finished run such as"),
        ("{empty}", RunError, "no run .no config_fit.yaml in it.; give a folder such as runs/demo_listnet/0"),
    ],
)
def test_a_teacher_that_is_none_is_named(
    name: str, error: type[Exception], message: str, data: Clotho, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        make_table(name.format(empty=tmp_path), data, CPU, tmp_path)


def test_a_teacher_without_cosines_is_refused(
    teacher: Path, data: Clotho, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_model.load_run(teacher, CPU)
    opened.model.matcher = CollaborativeExperts()
    monkeypatch.setattr(teachers, "load_run", lambda *arguments: opened)
    with pytest.raises(ModelError, match="its matcher CollaborativeExperts gives no cosines of unit vectors; take one"):
        make_table(str(teacher), data, CPU, tmp_path)


def test_teachers_of_features_read_those_of_the_data(
    teacher: Path, data: Clotho, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_features(data, tmp_path / "features", "made_up")
    with_features = Clotho(str(data.root), batch_size=2, num_workers=0, experts={"made_up": str(store)})
    with_features.setup("fit")
    torch.manual_seed(0)
    model = DualEncoder(ExpertFeatures({"made_up": 4}), TinyText(), SameAudio(), InfoNCE(), matcher=Cosine(5))
    with monkeypatch.context() as patch:
        patch.setattr(teachers, "load_run", lambda *arguments: FinishedModel(model, None, CPU))
        table = make_table("a/run", with_features, CPU, tmp_path)
    names = [with_features.read_names()[i] for i in taught_data(with_features).audio_ids]
    frames = [torch.from_numpy(made_up(name, 4))[None] for name in names]
    with torch.inference_mode():
        alone = torch.cat([model.embed_audio(each, torch.tensor([each.shape[1]])) for each in frames])
    np.testing.assert_allclose(table.audio, alone, atol=1e-3)
    with pytest.raises(ModelError, match=r"the teachers read audio, but data\.experts names features that stand in"):
        make_table(str(teacher), with_features, CPU, tmp_path)


def test_other_kinds_of_data_modules_are_refused(tmp_path: Path) -> None:
    model = tiny_model(relevance=EstimatedCorrespondence(["runs/a/0"]))
    trainer = tiny_trainer(tmp_path, max_epochs=1, callbacks=[MakeTeacherTables()])
    with pytest.raises(ModelError, match="teachers embed recordings of an AudioCaptionDataModule; derive the data"):
        trainer.fit(model, datamodule=TinyData())
