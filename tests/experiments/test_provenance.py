"""provenance.json: what the stages of a run leave in it, and what a resumed run is compared with."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import RunError
from experiments.callbacks.result_writer import RunWriter
from experiments.provenance import check_same_training, git_state, package_versions, update_provenance, weights_sha256
from experiments.run_folder import RunFolder
from tests.support.tabled import Tabled, filled
from tests.support.tiny import tiny_model, tiny_trainer


def test_the_stages_of_a_run_accumulate_in_its_provenance(run: Any) -> None:
    content = json.loads((run[0].path / "provenance.json").read_text())
    data = Tabled()
    assert list(content) == ["fit", "test", "validate"]
    for facts in content.values():
        assert facts["seed"] == 7
        assert facts["git"] == {"commit": None, "dirty": None}  # the code's folder is none of git's here
        assert facts["versions"] == package_versions()
        assert (facts["device"], facts["devices"], facts["precision"]) == ("cpu", 1, "32-true")
        assert 0 <= facts["wall_seconds"] < 600
        assert facts["data"] == {split: table.manifest() for split, table in data.tables.items()}
        assert facts["data"]["test"]["missing"] == ["gone.wav"]
    assert (content["fit"]["epochs"], content["fit"]["steps"]) == (2, 2 * len(data.train_dataloader()))
    assert content["test"]["checkpoint"] == content["validate"]["checkpoint"] == ""
    assert package_versions()["numpy"] == np.__version__


def test_the_checksum_of_weights_is_of_names_types_shapes_and_values() -> None:
    state = {"b": torch.arange(6.0), "a": torch.tensor(0.5)}
    digest = hashlib.sha256()
    digest.update(b"a\ttorch.float32\t()\n" + np.float32(0.5).tobytes())
    digest.update(b"b\ttorch.float32\t(6,)\n" + np.arange(6, dtype=np.float32).tobytes())
    assert weights_sha256(state) == digest.hexdigest()
    assert weights_sha256(dict(reversed(state.items()))) == digest.hexdigest()
    strided = torch.stack([torch.arange(6.0), torch.zeros(6)], dim=1)[:, 0].requires_grad_()
    assert weights_sha256({**state, "b": strided}) == digest.hexdigest()
    others = [
        {"c": state["b"], "a": state["a"]},
        {**state, "b": state["b"].double()},
        {**state, "b": state["b"].reshape(2, 3)},
        {**state, "b": state["b"].flip(0)},
        {**state, "a": torch.tensor(0.5).nextafter(torch.tensor(1.0))},
        {"b": state["b"]},
    ]
    assert len({digest.hexdigest(), *map(weights_sha256, others)}) == 1 + len(others)
    assert len(weights_sha256({"half": torch.zeros(3, dtype=torch.bfloat16), "none": torch.zeros(0)})) == 64


def test_git_knows_the_commit_and_whether_there_are_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    assert git_state(tmp_path) == {"commit": None, "dirty": False}
    git("commit", "--allow-empty", "-m", "x")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "new.py").touch()
    assert git_state(tmp_path)["dirty"] is True
    (tmp_path / "packages").mkdir()
    assert git_state(tmp_path / "packages") == {"commit": None, "dirty": None}  # not of this repository


def test_a_stage_replaces_its_own_facts_and_damage_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    for stage, number in (("fit", 1), ("test", 2), ("fit", 3)):
        update_provenance(path, stage, {"number": number})
    assert json.loads(path.read_text()) == {"fit": {"number": 3}, "test": {"number": 2}}
    path.write_text("{")
    with pytest.raises(RunError, match=r"provenance\.json: not JSON \(.*\); delete it$"):
        update_provenance(path, "fit", {})
    assert path.read_text() == "{"


@pytest.mark.parametrize("content", ["[]", "null", '"fit"', '{"fit": []}', "[" * 100_000])
def test_something_else_than_provenance_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "provenance.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"provenance\.json: not .*; delete it$"):
        update_provenance(path, "fit", {})
    assert path.read_text() == content


def test_a_training_is_resumed_on_as_many_devices_with_the_same_recordings(tmp_path: Path) -> None:
    data = {split: table.manifest() for split, table in Tabled().tables.items()}
    check_same_training(tmp_path, data, 2)  # nothing is known of it
    former = {"devices": 2, "data": {split: data[split] for split in ("train", "validation")}}
    update_provenance(tmp_path / "provenance.json", "fit", former)
    check_same_training(tmp_path, data, 2)
    moved = {**data["train"], "missing": [], "share_present": 1.0}  # what is there is the same
    check_same_training(tmp_path, {**data, "train": moved}, 2)
    with pytest.raises(
        RunError, match=r"with another number of devices \(2 before, 1 now\), since the global batch wou"
    ):
        check_same_training(tmp_path, data, 1)
    for key, value in {"clips": 7, "captions": 23, "sha256": "0" * 64}.items():
        other = {**data["validation"], key: value}
        with pytest.raises(RunError, match=r"other recordings \(validation: 12 with 36 captions, sha256 \w+ before, "):
            check_same_training(tmp_path, {**data, "validation": other}, 2)
    teachers = {"runs/a/0": "1" * 64}
    update_provenance(tmp_path / "taught" / "provenance.json", "fit", {**former, "sources": teachers})
    check_same_training(tmp_path / "taught", data, 2, teachers)
    with pytest.raises(RunError, match=r"with other weights of 'runs/a/0' \(111111111111 before, 222222222222 now\)"):
        check_same_training(tmp_path / "taught", data, 2, {"runs/a/0": "2" * 64})
    for began, now in ((None, "1"), ("1", "2"), ("1", None)):  # features of experts
        train = [
            {**data["train"], **({"experts": {"a": [{"sha256": {"frames.npy": sha}}]}} if sha else {})}
            for sha in (began, now)
        ]
        path = tmp_path / f"{began}{now}"
        update_provenance(path / "provenance.json", "fit", {"devices": 2, "data": {"train": train[0]}})
        with pytest.raises(RunError, match=r"other recordings \(train: .* before, .* now\)"):
            check_same_training(path, {"train": train[1]}, 2)


def test_ranks_that_found_different_things_to_do_are_stopped(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, max_epochs=1, callbacks=[RunWriter(RunFolder(tmp_path), tmp_path, 0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.strategy, "broadcast", lambda resume: not resume)  # the first rank's
        with pytest.raises(
            RunError, match=r"wrote its first checkpoint while this run began; give the same command ag"
        ):
            trainer.fit(tiny_model(), datamodule=Tabled())


@pytest.mark.parametrize("resume", [False, True])
def test_an_earlier_run_goes_when_a_new_one_begins_but_not_when_it_is_resumed(tmp_path: Path, resume: bool) -> None:
    folder = filled(tmp_path, "checkpoints/best.ckpt", "queries_test.parquet", "wandb/log.txt")
    torch.save({"state_dict": {}}, folder.best)
    trainer = tiny_trainer(tmp_path, max_epochs=1, callbacks=[RunWriter(folder, tmp_path, 0, resume=resume)])
    trainer.fit(tiny_model(), datamodule=Tabled())
    assert folder.best.exists() == folder.queries("test").exists() == resume
    assert {"wandb", "provenance.json"} <= set(os.listdir(tmp_path))
    assert not folder.queries("validation").exists()  # those inside `fit` are not reported
    trainer.test(tiny_model(), datamodule=Tabled(), verbose=False)
    assert folder.best.exists() == resume
    assert list(json.loads((tmp_path / "provenance.json").read_text())) == ["fit", "test"]
