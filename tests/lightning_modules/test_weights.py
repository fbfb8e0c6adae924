"""Weights files: what is read, what is refused, and that nothing in them is run."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from common.errors import ModelError
from lightning_modules.weights import load_weights, read_weights

UNREADABLE = "not a weights file that can be read safely"


def layers(inputs: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, 2))


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def save(path: Path, state: dict[str, torch.Tensor]) -> None:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if path.suffix == ".ckpt" else state, path)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "model.pt"])
def test_weights_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    source, target = layers(), layers()
    save(tmp_path / name, source.state_dict())
    load_weights(target, tmp_path / name)
    for ours, theirs in zip(target.state_dict().values(), source.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert read_weights(str(tmp_path / name)).keys() == source.state_dict().keys()


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "model.pt", layers().state_dict())
    assert len(read_weights("~/model.pt")) == 4


@pytest.mark.parametrize("name", ["nowhere.ckpt", "."])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: no such weights file; check the path$"):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"epoch: 3\n", b"{}", b"(", b"j", b"PK\x03\x04", bytes(200)])
def test_another_kind_of_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"notes{suffix}"
    path.write_bytes(content)
    assert_refused_in_one_line(path)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    save(path, layers().state_dict())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused_in_one_line(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_no_text_is_taken_for_weights(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text.ckpt"
    path.write_text(text)
    with pytest.raises(ModelError):
        read_weights(path)


def assert_refused_in_one_line(path: Path) -> None:
    with pytest.raises(ModelError, match=UNREADABLE) as caught:
        read_weights(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("give a .safetensors file or a checkpoint of tensors")
    assert message.isprintable()  # one line, no escape codes
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_an_object_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    ran, path = tmp_path / "ran", tmp_path / "model.ckpt"
    content = {"state_dict": {"weight": torch.ones(2), "more": Touch(ran)}}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    assert_refused_in_one_line(path)
    assert not ran.exists()
    torch.load(path, weights_only=False) if how == "torch" else pickle.loads(path.read_bytes())
    assert ran.exists()  # else the file was harmless, and the test without meaning


@pytest.mark.parametrize("content", [torch.ones(2), [1, 2], {"state_dict": 3}, {"a": 1}, {0: torch.ones(1)}])
def test_what_holds_no_table_of_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt: holds no table of tensors; give a checkpoint or a state_dict$"):
        read_weights(tmp_path / "other.pt")


def test_weights_of_another_model_are_counted_with_an_example(tmp_path: Path) -> None:
    state = layers(inputs=5).state_dict()
    state["extra"], state["more"] = torch.ones(1), torch.ones(1)
    state["2.weight"] = state["2.weight"].long()
    del state["2.bias"]
    save(tmp_path / "other.ckpt", state)
    model = layers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_weights(model, tmp_path / "other.ckpt")
    assert str(caught.value) == (
        f"{tmp_path / 'other.ckpt'}: weights of another model: 1 missing (e.g. 2.bias), 2 unknown (e.g. extra), "
        "1 of another shape (e.g. 0.weight), 1 of another type (e.g. 2.weight) of 4 names; use "
        "the configs it was trained with (config_fit.yaml in its run folder)"
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
