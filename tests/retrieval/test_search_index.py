"""Rankings by text, by example, by both, without a text; filters, pages, matchers of several vectors, resuming."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from datamodules.audio import AudioInfo
from retrieval import search_folder
from retrieval.search_folder import windows_of
from retrieval.search_index import Floats, Query, Recordings, SearchIndex
from retrieval.vector_search import VectorSearch
from tests.support.recordings import NAMES
from tests.support.searched import HOSTILE, BestOfTwo, reindexed, searched
from tests.support.tiny import tiny_model

ALL = sorted([*NAMES, f"deep/{HOSTILE}"])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    return searched(tmp_path_factory.mktemp("searched"))


def refusal(mistake: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        mistake()
    return str(caught.value)


def unit(vector: Floats) -> Floats:
    return vector / np.linalg.norm(vector)


def text_of(index: SearchIndex, text: str) -> Floats:
    with torch.inference_mode():
        return index.model.embed_text([text])[0].numpy()


def expected(index: SearchIndex, vector: Floats) -> dict[str, float]:
    """The best product of each recording's windows, by a loop."""
    found: dict[str, float] = {}
    for row, owner in enumerate(index.recordings.owner):
        name = index.recordings.names[owner]
        found[name] = max(found.get(name, -2), float(index.recordings.vectors[row] @ vector))
    return found


def check(index: SearchIndex, query: Query, vector: Floats, left: str = "") -> None:
    products = {name: value for name, value in expected(index, vector).items() if name != left}
    hits = index.search(query, 100)
    assert [hit.rank for hit in hits] == list(range(1, len(products) + 1))
    assert {hit.name for hit in hits} == set(products)
    np.testing.assert_allclose([hit.similarity for hit in hits], sorted(products.values(), reverse=True), atol=1e-6)
    np.testing.assert_allclose([hit.similarity for hit in hits], [products[hit.name] for hit in hits], atol=1e-6)


def test_by_text(index: SearchIndex) -> None:
    assert sorted(index.recordings.names) == ALL
    check(index, Query("loud dog"), text_of(index, "loud dog"))
    assert index.search("loud dog", 3) == index.search(Query(" loud dog "), 3)


def test_by_a_recording_of_the_index(index: SearchIndex) -> None:
    rows = np.flatnonzero(index.recordings.owner == index.recordings.row["long.wav"])
    assert len(rows) == 2
    example = unit(index.recordings.vectors[rows].mean(axis=0))
    check(index, Query(like="long.wav"), example, left="long.wav")
    assert index.count(Query(like="long.wav")) == len(ALL) - 1
    both = unit(0.75 * example + 0.25 * text_of(index, "loud dog"))
    check(index, Query("loud dog", like="long.wav", weight=0.75), both, left="long.wav")


def test_by_a_file_that_is_dropped(index: SearchIndex) -> None:
    path = index.recordings.paths[index.recordings.row["a.wav"]]
    assert path is not None
    like = index.add_example(path.read_bytes(), "x.wav")
    assert index.add_example(path.read_bytes(), "y.wav") == like
    (best, *_) = index.search(Query(like=like), 3)
    assert best.name == "a.wav"
    assert best.similarity == pytest.approx(1, abs=1e-5)


def test_without_a_text(index: SearchIndex) -> None:
    vector = unit(text_of(index, "loud dog") - 0.5 * text_of(index, "short bell"))
    check(index, Query("loud dog", minus="short bell"), vector)


def test_pages_are_parts_of_one_ranking(index: SearchIndex) -> None:
    whole = index.search("dog", 100)
    assert [hit for at in range(0, 9, 3) for hit in index.search("dog", 3, at)] == whole
    assert index.search("dog", 3, 50) == []


def test_filters(index: SearchIndex) -> None:
    assert {hit.name for hit in index.search(Query("dog", folder="deep"), 99)} == {n for n in ALL if n[:5] == "deep/"}
    assert {hit.name for hit in index.search(Query("dog", folder="deep/er"), 99)} == {"deep/er/a.wav"}
    assert {hit.name for hit in index.search(Query("dog", shortest=0.75, longest=1), 99)} == {
        "b.FLAC",
        "deep/é 100%.mp3",
    }
    assert index.search(Query("dog", folder="nowhere"), 9) == []
    assert index.count(Query("dog", shortest=2)) == 1


def test_the_best_window_is_named(index: SearchIndex) -> None:
    starts = {hit.name: hit.start for hit in index.search("dog", 99)}
    rows = np.flatnonzero(index.recordings.owner == index.recordings.row["long.wav"])
    best = int(np.argmax(index.recordings.vectors[rows] @ text_of(index, "dog")))
    assert starts.pop("long.wav") == [0.0, 1.0][best]
    assert set(starts.values()) == {None}


def test_many_vectors_give_the_same_by_an_inverted_file(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((6000, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{i}.wav" for i in range(2000)]
    counts = np.full(2000, 3)
    recordings = Recordings("", names, [None] * 2000, [6.0] * 2000, vectors, counts, np.tile([0.0, 2, 4], 2000))
    index = SearchIndex(tiny_model().eval(), recordings)
    exact = index.search("loud dog", 20), index.search("loud dog", 20, 200)
    index.vectors = VectorSearch(vectors, exact_below=1000)
    assert index.vectors.approximate
    found = index.search("loud dog", 20), index.search("loud dog", 20, 200)
    assert len({hit.name for hit in found[0]} & {hit.name for hit in exact[0]}) >= 18
    assert [hit.name for hit in found[1]] == [hit.name for hit in exact[1]]  # far down, all are compared
    assert len(index.search("loud dog", 5000)) == 2000


def test_a_matcher_of_several_vectors_searches_by_text(tmp_path: Path) -> None:
    index = searched(tmp_path, tiny_model(matcher=BestOfTwo()))
    assert index.recordings.vectors.shape == (9, 2, 4)
    dog, bell = (
        (index.recordings.vectors @ text_of(index, text)).max(axis=1) for text in ("loud dog", "short bell")
    )  # (V,)
    for query, scores in ((Query("loud dog"), dog), (Query("loud dog", minus="short bell"), dog - 0.5 * bell)):
        best: dict[int, float] = {}
        for owner, score in zip(index.recordings.owner.tolist(), scores.tolist(), strict=True):
            best[owner] = max(best.get(owner, -2), score)
        hits = index.search(query, 99)
        np.testing.assert_allclose([hit.similarity for hit in hits], sorted(best.values(), reverse=True), atol=1e-6)
    message = "BestOfTwo compares texts with recordings only, not two recordings; search by words"
    assert refusal(lambda: index.search(Query(like="a.wav"), 1)) == message
    assert refusal(lambda: index.add_example(b"", "x.wav")) == message
    assert not index.about()["examples"]


def test_mistakes_are_told(index: SearchIndex) -> None:
    assert refusal(lambda: index.search(" ", 3)) == "the query is empty; say in words what you want to hear"
    assert refusal(lambda: index.search(Query(like="x.wav"), 3)) == "there is no recording 'x.wav' to search by"
    gone = Query(like="example:0123")
    assert refusal(lambda: index.search(gone, 3)) == "the example is not kept any more; drop the file again"
    assert refusal(lambda: index.add_example(b"no audio", "x.wav")).startswith("is not an audio file that can be read")
    assert refusal(lambda: index.add_example(b"", "../../x.wav")) == "is empty (0 bytes)"


@pytest.mark.parametrize(
    ("frames", "seconds", "starts"),
    [
        (25, 10.0, [0, 7.5, 15]),
        (10, 10.0, [0]),
        (104, 100.0, [0]),
        (106, 100.0, [0, 6]),
        (3, None, [0]),
        (1, 10.0, [0]),
    ],
)
def test_windows_cover_a_recording(frames: int, seconds: float | None, starts: list[float]) -> None:
    found = windows_of("a", Path("a"), AudioInfo(frames, 1), seconds)
    assert [window.start for window in found] == starts
    assert {window.of for window in found} == {len(starts)}


def test_a_killed_indexing_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed, seen = search_folder.embed_windows, []

    def killed(*arguments: object) -> object:
        for number, found in enumerate(embed(*arguments)):  # type: ignore[arg-type]
            if number == 2:
                raise KeyboardInterrupt
            yield found

    def counted(model: object, windows: list[object], *arguments: object) -> object:
        seen.append(len(windows))
        return embed(model, windows, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(search_folder, "embed_windows", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path)
    monkeypatch.setattr(search_folder, "embed_windows", counted)
    index, summary = reindexed(tmp_path)
    assert "8 recordings, 6 of them embedded before, 9 windows of at most 2 s" in summary
    assert seen == [3]
    assert sorted(index.recordings.names) == ALL
    before = (tmp_path / "index" / "audio.arrow").stat().st_mtime_ns
    assert "8 of them embedded before" in reindexed(tmp_path)[1]
    assert (tmp_path / "index" / "audio.arrow").stat().st_mtime_ns == before  # nothing new: not written again
