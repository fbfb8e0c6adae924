"""Nearest captions against a naive loop, and what the inverted file finds of them."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import RelevanceError
from relevance import caption_index as neighbours
from relevance.caption_index import CaptionIndex, Neighbours

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


def nearest_captions(table: Floats, audio: Ints, k: int, captions: Ints | None = None) -> Neighbours:
    """Of all captions, or of some among themselves."""
    asked = np.arange(len(table)) if captions is None else captions
    return CaptionIndex(table, audio, asked).of_captions(asked, k)


def naive(table: Floats, audio: Ints, query: int, captions: Ints) -> dict[int, float]:
    """Of each text with other words the first caption of another recording, and its similarity."""
    texts: dict[bytes, int] = {}
    for item in sorted(captions.tolist()):
        if audio[item] != audio[query] and table[item].tobytes() != table[query].tobytes():
            texts.setdefault(table[item].tobytes(), item)
    return {item: float(table[query].astype(np.float32) @ table[item].astype(np.float32)) for item in texts.values()}


@st.composite
def corpora(draw: st.DrawFn) -> tuple[Floats, Ints, Ints]:
    """Embeddings whose products are exact in any order, so that ties are ties; recordings; captions that take part."""
    count = draw(st.integers(1, 30))
    rows = draw(st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=count, max_size=count))
    audio = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    asked = draw(st.lists(st.integers(0, count - 1), min_size=1, unique=True))
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    return np.array(rows, dtype=dtype) / dtype(4), np.array(audio), np.array(asked)


@given(corpus=corpora(), k=st.integers(1, 6))
@settings(deadline=None, max_examples=200)
def test_exact_search_against_a_loop(corpus: tuple[Floats, Ints, Ints], k: int) -> None:
    table, audio, asked = corpus
    found = nearest_captions(table, audio, k, captions=asked)
    assert found.ids.dtype == np.int64
    assert found.similarity.dtype == np.float32
    for query, ids, similarity in zip(asked, found.ids.tolist(), found.similarity.tolist(), strict=True):
        h = naive(table, audio, query, asked)
        nearest = sorted(h, key=lambda item: (-h[item], item))[:k]
        assert similarity == [h[item] for item in nearest] + [-np.inf] * (k - len(nearest))
        assert ids[len(nearest) :] == [-1] * (k - len(nearest))
        named = ids[: len(nearest)]
        assert named == sorted(set(named), key=lambda item: (-h[item], item))
        last = h[nearest[-1]] if nearest else 0.0  # of those equal at the last place some are named
        assert {item for item in named if h[item] > last} == {item for item in nearest if h[item] > last}


def clustered(count: int, dim: int = 16) -> Floats:
    """Unit-length rows around 20 centres, as captions lie around sorts of sounds."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20, dim))[rng.integers(0, 20, count)] + 0.5 * rng.standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_many_captions_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    table, audio = clustered(300), np.repeat(np.arange(60), 5)
    np.save(tmp_path / "table.npy", table.astype(np.float16))
    mapped = np.load(tmp_path / "table.npy", mmap_mode="r")
    found = nearest_captions(mapped, audio, 7)
    h = mapped.astype(np.float32) @ mapped.astype(np.float32).T
    h[audio[:, None] == audio] = -np.inf
    np.testing.assert_allclose(found.similarity, -np.sort(-h)[:, :7], atol=1e-6)
    np.testing.assert_allclose(found.similarity, np.take_along_axis(h, found.ids, 1), atol=1e-6)


def test_the_inverted_file_finds_most_and_all_where_it_looks_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    table, audio = clustered(2000), np.repeat(np.arange(400), 5)
    exact = nearest_captions(table, audio, 10)
    monkeypatch.setattr(neighbours, "EXACT_BELOW", 0)
    monkeypatch.setattr(neighbours, "NPROBE", 10**6)
    everywhere = nearest_captions(table, audio, 10)
    np.testing.assert_allclose(everywhere.similarity, exact.similarity, atol=1e-6)
    monkeypatch.setattr(neighbours, "NPROBE", 9)
    some = nearest_captions(table, audio, 10)
    again = nearest_captions(table, audio, 10)
    np.testing.assert_array_equal(some.ids, again.ids)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(some.ids, exact.ids, strict=True)])
    assert 0.9 < recall < 1
    monkeypatch.setattr(neighbours, "NPROBE", 1)
    few = nearest_captions(table, audio, 10).ids
    assert (few == -1).any()  # in one list there are not always ten
    assert (audio[few] != audio[:, None])[few >= 0].all()


def test_words_are_searched_too() -> None:
    table = clustered(50)
    index = CaptionIndex(table, np.arange(50), np.arange(50))
    found = index.of_embeddings(table[[3]], 4)
    assert found.ids[0].tolist() == np.argsort(-(table @ table[3]))[:4].tolist()
    assert found.similarity[0, 0] == pytest.approx(1)


def test_a_recordings_own_captions_and_equal_ones_do_not_fill_up_the_k() -> None:
    rng = np.random.default_rng(0)
    mine = np.eye(8)[[0]] + 0.01 * rng.standard_normal((6, 8))  # six captions of recording 0, all alike
    others = rng.standard_normal((5, 8))
    table = np.concatenate([mine, mine[[0] * 9], others])  # nine other recordings have the first one, word for word
    table = (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)
    audio = np.array([0] * 6 + list(range(1, 15)))
    found = nearest_captions(table, audio, 5)
    assert set(found.ids[0].tolist()) == {15, 16, 17, 18, 19}
    assert found.ids[1, 0] == 6  # named once, by the first that is of another recording
    assert (found.ids[1, 1:] >= 15).all()


@pytest.mark.parametrize(
    ("table", "audio", "captions", "message"),
    [
        ((3, 2), 2, None, r"a table \(3, 2\) and recordings \(2,\) do not belong together"),
        ((3, 2), 3, np.empty(0, np.int64), "no captions to search"),
    ],
)
def test_bad_input_is_named(table: tuple[int, int], audio: int, captions: Ints | None, message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        nearest_captions(np.ones(table, np.float32), np.arange(audio), 1, captions=captions)


def test_a_missing_faiss_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(RelevanceError, match=r"pip install 'audio-relevance\[neighbours\]'"):
        nearest_captions(np.ones((2, 2), np.float32), np.arange(2), 1)
