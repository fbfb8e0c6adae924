"""Vectors nearest to one: exact, by an inverted file, filtered, kept; the store that holds them."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.results.embeddings_file import Stamp
from retrieval.search_store import Windows, parts_folder, read_windows, still_valid, window_table, write_windows
from retrieval.vector_search import Floats, VectorSearch

FACTS = {
    "audio_weights_sha256": "a",
    "audio_encoder": "{}",
    "sample_rate": "100",
    "window": "2.0",
    "hop": "None",
    "mix": "mean",
    "shape": "8",
}


def clustered(count: int, dim: int = 16) -> Floats:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20, dim))[rng.integers(20, size=count)] + 0.3 * rng.standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_exact_scores_are_the_products(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (count, 4)).astype(np.float32)  # many of them equal
    query = rng.integers(-2, 3, 4).astype(np.float32)
    rows = np.flatnonzero(rng.random(count) < 0.5) if count > 1 else None
    search = VectorSearch(vectors)
    found, values = search.nearest(query, 3)
    assert found.tolist() == list(range(count))
    assert values.tolist() == [sum(a * b for a, b in zip(v, query, strict=True)) for v in vectors.tolist()]
    if rows is not None and len(rows):
        np.testing.assert_array_equal(search.nearest(query, 3, rows)[1], values[rows])


def test_candidates_are_scored_exactly_and_hold_the_best(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    vectors = clustered(4000)
    search = VectorSearch(vectors, exact_below=1000, file=tmp_path / "x.1.faiss")
    assert search.approximate
    hits = 0
    for query in vectors[:50] + 0.01:
        found, values = search.nearest(query, 10)
        assert len(found) < 200
        np.testing.assert_allclose(values, vectors[found] @ query, atol=1e-6)
        hits += len(set(found) & set(np.argsort(-(vectors @ query))[:10]))
    assert hits >= 490
    again = VectorSearch(vectors, exact_below=1000, file=tmp_path / "x.1.faiss")
    np.testing.assert_array_equal(again.nearest(vectors[7], 10)[0], search.nearest(vectors[7], 10)[0])


def test_filters_hold_among_candidates() -> None:
    pytest.importorskip("faiss")
    vectors = clustered(4000)
    search = VectorSearch(vectors, exact_below=1000)
    rows = np.arange(0, 4000, 2)
    found, _ = search.nearest(vectors[1], 10, rows)
    assert 10 <= len(found) < 200
    assert (found % 2 == 0).all()
    few = np.arange(0, 4000, 8)  # compared one by one
    assert search.nearest(vectors[1], 10, few)[0].tolist() == few.tolist()


def test_a_damaged_or_older_inverted_file_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("faiss")
    (tmp_path / "x.old.faiss").write_text("of an earlier index")
    (tmp_path / "x.new.faiss").write_text("damaged")
    search = VectorSearch(clustered(2000), exact_below=1000, file=tmp_path / "x.new.faiss")
    assert search.approximate
    assert "x.new.faiss: cannot be read, so it is made again" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["x.new.faiss"]


def test_without_faiss_all_are_compared(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    search = VectorSearch(clustered(1500), exact_below=1000)
    assert not search.approximate
    assert len(search.nearest(clustered(1)[0], 5)[0]) == 1500
    assert "1,500 vectors are compared one by one, since FAISS is not installed" in caplog.text


def windows(names: list[str], counts: list[int], value: float = 0.0, shape: tuple[int, ...] = (8,)) -> Windows:
    stamps = [Stamp(f"/{name}", 10, 1) for name in names]
    vectors = np.full((len(names), *shape), value, np.float32) + np.arange(len(names)).reshape(-1, *[1] * len(shape))
    table = window_table(names, stamps, [3.0] * len(names), counts, [0.0] * len(names), vectors.astype(np.float32))
    return Windows(table, {**FACTS, "shape": ",".join(map(str, shape))})


def test_a_store_is_mapped_and_keeps_vectors_of_any_shape(tmp_path: Path) -> None:
    written = windows(["a", "b"], [1, 1], shape=(3, 4))
    write_windows(tmp_path / "x.arrow", written)
    held = read_windows(tmp_path / "x.arrow")
    np.testing.assert_array_equal(held.vectors, written.vectors)
    assert held.vectors.shape == (2, 3, 4)
    assert not held.vectors.flags.owndata


def test_only_whole_unchanged_recordings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    write_windows(path, windows(["a", "b", "b", "c"], [1, 2, 2, 1]))
    stamps = {name: Stamp(f"/{name}", 10, 1) for name in "abc"}
    held, current = still_valid(path, stamps, FACTS)
    assert current
    assert held is not None
    assert held.table["name"].to_pylist() == ["a", "b", "b", "c"]
    # A killed run left one of two windows of d, both of e in two parts; b was changed, c is gone.
    write_windows(parts_folder(path) / "1.arrow", windows(["d", "e"], [2, 2], 50.0))
    write_windows(parts_folder(path) / "2.arrow", windows(["e"], [2], 60.0))
    stamps = {**{name: Stamp(f"/{name}", 10, 1) for name in "ade"}, "b": Stamp("/b", 10, 2)}
    held, current = still_valid(path, stamps, FACTS)
    assert not current
    assert held is not None
    assert held.table["name"].to_pylist() == ["a", "e", "e"]
    assert held.vectors[:, 0].tolist() == [0, 51, 60]
    assert still_valid(path, stamps, {**FACTS, "window": "3.0"}) == (None, False)


def test_a_part_that_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.arrow"
    parts_folder(path).mkdir()
    (parts_folder(path) / "1.arrow").write_bytes(b"ARROW1")
    with caplog.at_level(logging.WARNING):
        assert still_valid(path, {}, FACTS) == (None, False)
    assert "1.arrow: cannot be read, so its recordings are embedded again" in caplog.text
