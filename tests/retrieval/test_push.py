"""`export --push` with the hub's own client, against a server on this machine that takes uploads as the hub does."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from cli.__main__ import main
from common.errors import ModelError
from retrieval.export import push
from tests.support.hub import Hub, serve_hub
from tests.support.pairs import save_clap


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The server in place of the hub: what HF_ENDPOINT and the like say is read when the client is imported."""
    with serve_hub() as hub:
        # xet's protocol is not stood in for; the hub takes both.
        for name, value in (("ENDPOINT", hub.url), ("HF_HUB_OFFLINE", False), ("HF_HUB_DISABLE_XET", True)):
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("HF_TOKEN", hub.token)
        huggingface_hub.close_session()  # which may have a proxy
        yield hub
        huggingface_hub.close_session()


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """What exports a tiny pair to `made` and uploads it."""
    clap = save_clap(tmp_path / "clap", seconds=1)
    return ["export", "--run", str(clap), "--output", str(tmp_path / "made"), "--push", "me/tiny"]


@pytest.mark.slow
def test_the_hub_holds_the_bytes_of_the_folder(
    hub: Hub, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    for _ in range(2):  # the second time the repository is there already
        assert main(command) == 0
        assert f"pushed: {hub.url}/me/tiny" in capsys.readouterr().out
        files = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
        assert {"model.safetensors", "README.md", "modules.json", "audio_relevance.json"} <= files.keys()
        assert hub.repositories == {"me/tiny": files}
        hub.repositories["me/tiny"].clear()
    assert list(hub.objects.values()) == [files["model.safetensors"]]  # the weights went by LFS


def test_a_refused_token_is_one_line(
    hub: Hub, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert main(command) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: --push me/tiny: the hub refused or cannot be reached (")
    assert "401 Unauthorized" in errors[0]
    assert "hf auth login" in errors[0]
    assert hub.repositories == {}
    assert (tmp_path / "made" / "model.safetensors").is_file()  # to be uploaded later


def test_no_server_and_no_name_are_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command[:-2]) == 0
    with pytest.raises(ModelError, match="--push tiny: give OWNER/MODEL"):
        push(tmp_path / "made", "tiny")
    with pytest.raises(ModelError, match="no exported model in it"):
        push(tmp_path, "me/tiny")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    huggingface_hub.close_session()
    with pytest.raises(ModelError, match=r"cannot be reached \(.*hf auth login"):
        push(tmp_path / "made", "me/tiny")
