"""Weights from a local path, the hub, or a URL with its checksum."""

import hashlib
from pathlib import Path

import huggingface_hub
import pytest
import torch

from common.errors import ModelError
from common.pretrained import find_weights

CONTENT = b"weights of a kind"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "passt.pt").write_bytes(CONTENT)
    return (tmp_path / "passt.pt").as_uri()


def test_a_path_is_taken_as_it_is() -> None:
    assert find_weights("weights/passt.pt") == Path("weights/passt.pt")
    assert find_weights("~/passt.pt") == Path.home() / "passt.pt"


def test_a_url_is_fetched_once(url: str, tmp_path: Path) -> None:
    path = find_weights(f"{url}#sha256={SHA256}")
    assert path.read_bytes() == CONTENT
    (tmp_path / "passt.pt").unlink()
    assert find_weights(f"{url}#sha256={SHA256}") == path


def test_another_checksum_leaves_nothing(url: str, hub_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"passt.pt#sha256=0000000000: cannot be fetched \(invalid hash value"):
        find_weights(f"{url}#sha256=0000000000")
    assert list((hub_folder / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("fragment", ["", "#sha256=", "#sha256=xyz12345", "#md5=0123456789"])
def test_a_url_needs_a_checksum(url: str, fragment: str) -> None:
    with pytest.raises(ModelError, match="a URL needs its checksum; write #sha256=HEX after it"):
        find_weights(url + fragment)


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names: asked.append(names) or "/cache/file.pt")
    assert find_weights("hub:owner/name/folder/file.pt") == Path("/cache/file.pt")
    assert asked == [("owner/name", "folder/file.pt")]
    with pytest.raises(ModelError, match="give hub:OWNER/NAME/FILE"):
        find_weights("hub:owner/name")


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*names: str) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(ModelError, match=r"hub:a/b/c.pt: is not in the local hub cache, .* \(no route to host\)"):
        find_weights("hub:a/b/c.pt")
