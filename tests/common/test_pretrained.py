"""Weights from a local path, the hub, a release at GitHub, or any other address."""

import hashlib
import io
import multiprocessing
import re
from pathlib import Path

import huggingface_hub
import pytest
import torch

from common.errors import ModelError, RelevanceError
from common.http import CHUNK
from common.pretrained import cached_path, find_model, find_weights
from relevance.caption_embeddings import load_sentence_bert
from tests.support.local_server import Server, serve
from tests.support.waiting import until

NAME = "github:owner/name/v1/weights.pt"
ADDRESS = "/owner/name/releases/download/v1/weights.pt"


def checkpoint(seed: int) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.randn(300_000, generator=torch.Generator().manual_seed(seed))}, buffer)
    return buffer.getvalue()


CONTENT = checkpoint(0)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def github(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr("common.pretrained.GITHUB_SERVER", server.url)
    server.files[ADDRESS] = CONTENT
    server.versioned = True
    return server


def test_a_path_is_taken_as_it_is() -> None:
    assert find_weights("weights/passt.pt") == Path("weights/passt.pt")
    assert find_weights("~/passt.pt") == Path.home() / "passt.pt"


def test_a_release_is_fetched_once_and_pinned(github: Server, cache: Path) -> None:
    path = find_weights(NAME)
    assert path.is_relative_to(cache)
    assert path.read_bytes() == CONTENT
    assert path.with_name("weights.pt.sha256").read_text() == f"{SHA256}  weights.pt\n"
    assert find_weights(NAME) == path
    assert len(github.asked) == 1


def test_a_damaged_copy_is_fetched_again(github: Server) -> None:
    path = find_weights(NAME)
    path.write_bytes(CONTENT[:1000] + b"!" + CONTENT[1001:])
    assert find_weights(NAME).read_bytes() == CONTENT


def test_another_version_than_the_pinned_one_is_refused(github: Server) -> None:
    path = find_weights(NAME)
    path.unlink()
    github.files[ADDRESS] = checkpoint(1)
    with pytest.raises(ModelError, match=rf"should have the checksum sha256:{SHA256}.* delete .*weights\.pt\.sha256$"):
        find_weights(NAME)
    assert not path.exists()
    path.with_name("weights.pt.sha256").unlink()
    assert find_weights(NAME).read_bytes() == checkpoint(1)


def test_a_page_in_place_of_a_checkpoint_is_refused(github: Server) -> None:
    github.files[ADDRESS] = b"<!DOCTYPE html>"
    with pytest.raises(ModelError, match=r"^github:owner/name/v1/weights.pt: .* is a web page"):
        find_weights(NAME)
    assert not cached_path(NAME).exists()


def test_a_killed_process_leaves_what_it_fetched(github: Server) -> None:
    part = cached_path(NAME).with_name("weights.pt.part")
    github.stall_after = 12 * CHUNK
    process = multiprocessing.get_context("fork").Process(target=find_weights, args=(NAME,))
    process.start()
    until(lambda: part.exists() and part.stat().st_size >= 8 * CHUNK, process)
    process.kill()
    process.join()
    kept = part.stat().st_size
    github.go.set()
    assert find_weights(NAME).read_bytes() == CONTENT
    assert github.asked[-1] == (ADDRESS, f"bytes={kept}-")


def test_of_several_processes_one_fetches(github: Server) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=find_weights, args=(NAME,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(github.asked) == 1


def test_without_a_network_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with serve() as gone:
        monkeypatch.setattr("common.pretrained.GITHUB_SERVER", gone.url)
    path = cached_path(NAME)
    message = rf"^{NAME}: .* 127\.0\.0\.1:\d+ cannot be reached; check the network, or put the file there as {path}$"
    with pytest.raises(ModelError, match=message):
        find_weights(NAME)
    path.write_bytes(CONTENT)  # as the message says
    assert find_weights(NAME) == path


def test_an_address_with_its_checksum(server: Server) -> None:
    server.files["/weights.pt"] = CONTENT
    for digits in (64, 8):
        assert find_weights(f"{server.url}/weights.pt#sha256={SHA256[:digits]}").read_bytes() == CONTENT
    assert len(server.asked) == 1
    with pytest.raises(ModelError, match=r"weights\.pt#sha256=0{10}: .* checksum sha256:0000000000, but came with"):
        find_weights(f"{server.url}/weights.pt#sha256=0000000000")


@pytest.mark.parametrize("fragment", ["", "#sha256=", "#sha256=xyz12345", "#md5=0123456789"])
def test_a_checksum_that_is_none_is_refused(server: Server, fragment: str) -> None:
    with pytest.raises(
        ModelError, match="a checksum is written #sha256=HEX, and needed where the address is not https"
    ):
        find_weights(f"{server.url}/weights.pt{fragment}")
    assert not server.asked


@pytest.mark.parametrize("name", ["github:owner/name/file.pt", "github:owner/name/../file.pt", "github:a/b/c/d/e"])
def test_a_name_of_no_release_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="give github:OWNER/NAME/TAG/FILE"):
        find_weights(name)


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names: asked.append(names) or "/cache/file.pt")
    assert find_weights("hub:owner/name/folder/file.pt") == Path("/cache/file.pt")
    assert asked == [("owner/name", "folder/file.pt")]
    with pytest.raises(ModelError, match="give hub:OWNER/NAME/FILE"):
        find_weights("hub:owner/name")


def test_no_network_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*names: str) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(ModelError, match=r"hub:a/b/c.pt: is not in the local hub cache, .* \(no route to host\)"):
        find_weights("hub:a/b/c.pt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "a model's name is empty; give a folder, or a hub name"),
        (" ", "a model's name is empty"),
        ("./gone", "'./gone': no such folder"),
        ("package:/model", "Python package '' is not installed"),
        ("package:no_such.part/model", "Python package 'no_such.part' is not installed"),
        ("package:torch/no_such", "package 'torch' holds no folder 'no_such'"),
    ],
)
def test_a_name_that_means_no_model_is_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        find_model(name)


def test_a_folder_without_a_model_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RelevanceError, match=r"Sentence-BERT model '.*': the folder holds no model that can be loaded"):
        load_sentence_bert(find_model(str(tmp_path)), None, "cpu")


@pytest.mark.parametrize("name", ["a b/../c", "x/y/z", "-"])
def test_what_can_be_no_name_at_the_hub_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"is neither a local folder nor in the local hub cache, .*[Rr]epo id"):
        find_model(name)
