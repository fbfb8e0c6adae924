"""Example queries with what was retrieved for them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from experiments.results.example_retrievals import from_easy_to_hard, retrieved_clips, write_excerpt


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 20))
def test_examples_run_from_easy_to_hard(ranks: list[int], count: int) -> None:
    queries = [{"query_id": i, "first_rank": rank} for i, rank in enumerate(ranks)]
    chosen = from_easy_to_hard(queries, count)
    assert len(chosen) == min(count, len(queries))
    assert [row["first_rank"] for row in chosen] == sorted(row["first_rank"] for row in chosen)
    assert len({row["query_id"] for row in chosen}) == len(chosen)
    if count >= len(queries):
        assert {row["query_id"] for row in chosen} == set(range(len(queries)))


def test_rows_of_retrieved_clips() -> None:
    query = {
        "query": "rain",
        "first_rank": 2.0,
        "relevant_ids": [7],
        "top10_ids": [9, 7],
        "top10_items": ["nine.wav", "seven.wav"],
        "top10_scores": [0.5, 0.25],
    }
    learned, known = np.array([[0.1, 0.9]]), np.array([[1.0, 0.3]])
    first, second = retrieved_clips([query], [7, 9], learned, known)
    assert first == {
        "query": "rain",
        "own_rank": 2.0,
        "place": 1,
        "clip_id": 9,
        "file": "nine.wav",
        "similarity": 0.5,
        "annotated": False,
        "learned_relevance": 0.9,
        "known_relevance": 0.3,
    }
    assert (second["place"], second["annotated"], second["learned_relevance"]) == (2, True, 0.1)
    assert [row["known_relevance"] for row in retrieved_clips([query], [7, 9])] == [None, None]


def test_an_excerpt_is_short_and_mono(tmp_path: Path) -> None:
    time = np.arange(12 * 44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "long.wav", np.stack([tone, 0.5 * tone], axis=1), 44_100)
    write_excerpt(tmp_path / "long.wav", tmp_path / "short.mp3")
    heard, rate = soundfile.read(tmp_path / "short.mp3")
    assert rate == 32_000
    assert heard.shape == (pytest.approx(10 * rate, rel=0.01),)
    middle = heard[rate : 2 * rate]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440, abs=1)
    assert middle.std() == pytest.approx(0.75 * 0.5 / np.sqrt(2), rel=0.05)
