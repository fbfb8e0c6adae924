"""Who may teach: not who was trained on the test recordings, or learned from one that was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import ModelError
from datamodules.clotho import Clotho
from experiments.run_folder import find_run
from lightning_modules.pairs.base import Pair
from retrieval.teacher_checks import check_teacher, identities, lineage
from tests.support.recordings import model_of
from tests.support.tiny import tiny_model


def change(run: Path, **settings: Any) -> None:
    """Change settings of a run's saved config."""
    config = yaml.safe_load((run / "config_fit.yaml").read_text())
    for key, value in settings.items():
        part, _, name = key.partition("__")
        place = config[part]["init_args"] if part == "data" else config[part]
        place[name] = value
    (run / "config_fit.yaml").write_text(yaml.safe_dump(config))


def swapped(data: Clotho, folder: Path) -> Path:
    """The corpus with the splits of training and test exchanged, so that links lead to the same files."""
    csv_files = Path(shutil.copytree(data.root / "clotho_csv_files", folder / "clotho_csv_files"))
    for kind in ("captions", "metadata"):
        names = {split: csv_files / f"clotho_{kind}_{split}.csv" for split in ("development", "evaluation")}
        texts = {split: file.read_bytes() for split, file in names.items()}
        names["development"].write_bytes(texts["evaluation"])
        names["evaluation"].write_bytes(texts["development"])
    audio = folder / "clotho_audio_files"
    audio.mkdir()
    for split, source in (("development", "evaluation"), ("evaluation", "development"), ("validation", "validation")):
        (audio / split).symlink_to(data.root / "clotho_audio_files" / source)
    (csv_files / "clotho_metadata_development.csv").unlink()  # by files alone
    return folder


def test_a_teacher_of_the_same_splits_may_teach(teacher: Path, data: Clotho) -> None:
    check_teacher(str(teacher), model_of(teacher), data)


def test_a_teacher_that_was_trained_on_the_test_recordings_is_refused(
    teacher: Path, copied: Path, data: Clotho, tmp_path: Path
) -> None:
    change(copied, data__root=str(swapped(data, tmp_path / "swapped")))
    message = r"teacher '.*copied/0': .*copied/0 was trained on 4 of the test recordings .e\.g\. ' train\.wav'., so"
    with pytest.raises(ModelError, match=message):
        check_teacher(str(copied), model_of(teacher), data)


@pytest.mark.parametrize("link", ["init_from", "teachers"])
def test_so_is_one_that_began_with_such_a_run_or_learned_from_it(
    teacher: Path, copied: Path, data: Clotho, tmp_path: Path, link: str
) -> None:
    change(copied, data__root=str(swapped(data, tmp_path / "swapped")))
    child = Path(shutil.copytree(teacher, tmp_path / "runs" / "child" / "0"))
    if link == "init_from":
        change(child, model__init_from=str(copied / "checkpoints" / "best.ckpt"))
    else:
        inner = {"class_path": "EstimatedCorrespondence", "init_args": {"teachers": [str(copied)]}}
        mixed = {"parts": [{"class_path": "SameAudio"}, inner], "omegas": [None, 0.05]}
        change(child, model__relevance={"class_path": "MixedTargets", "init_args": mixed})
    assert [folder.path for folder, _ in lineage(find_run(child))] == [child, copied]
    with pytest.raises(ModelError, match=r"child/0': .*copied/0 was trained on 4 of the test recordings"):
        check_teacher(str(child), model_of(teacher), data)


def test_recordings_of_one_origin_are_the_same(
    teacher: Path, copied: Path, data: Clotho, student_data: Callable[[Path], Clotho], tmp_path: Path
) -> None:
    change(copied, data__root=str(data.root))
    other = student_data(Path(shutil.copytree(data.root, tmp_path / "clotho")))  # other files, the same origins
    check_teacher(str(copied), model_of(teacher), other)  # all have one origin, so the student hears it too
    metadata = other.root / "clotho_csv_files" / "clotho_metadata_development.csv"
    metadata.write_bytes(metadata.read_bytes().replace(b",1,link", b",2,link"))
    assert identities(other, "train").keys() >= {"freesound:2"}
    assert "freesound:1" in identities(other, "test")
    with pytest.raises(ModelError, match="was trained on 1 of the test recordings"):
        check_teacher(str(copied), model_of(teacher), other)


def test_what_cannot_be_checked_is_said(
    teacher: Path, copied: Path, data: Clotho, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(copied, data__root=str(tmp_path / "gone"))
    check_teacher(str(copied), model_of(teacher), data)
    assert len(caplog.messages) == 1
    assert "cannot be checked" in caplog.text
    assert "gone" in caplog.text


def test_a_pair_that_was_trained_on_the_test_split_is_refused(data: Clotho, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model()
    model.pair = Pair("msclap 2022")
    with pytest.raises(ModelError, match="'some/pair': was trained on the test recordings of Clotho too"):
        check_teacher("some/pair", model, data)
    model.pair = Pair("some/pair", ["freesound"])
    check_teacher("some/pair", model, data)
    assert "test recordings are from freesound, as are its training data: it may have heard them" in caplog.text
