"""Targets made of other kinds of relevance, and of files, against loops over pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.directions import AUDIO_TO_TEXT, DIRECTIONS, TEXT_TO_AUDIO, Direction
from common.errors import RelevanceError
from relevance.base import IGNORED, Relevance
from relevance.scoring import Linear
from relevance.targets import (
    AudioSimilarity,
    ByDirection,
    FalseNegatives,
    HumanRatings,
    MixedTargets,
    SameAudio,
    SmoothedTargets,
)
from tests.support.seams import DirectedRelevance

CAPTIONS = ["rain", "it rains", "a dog", "a dog barks", "a bell", "rain"]
AUDIO = np.array([0, 0, 1, 1, 2, 3])
NAMES = ["rain.wav", "dog.wav", "bell.wav", "more rain.wav"]
QUERIES, ITEMS = torch.tensor([4, 0, 3]), torch.tensor([5, 1, 2, 4])


def prepared(relevance: Relevance) -> Relevance:
    relevance.name_recordings(NAMES)
    relevance.prepare(CAPTIONS, AUDIO)
    return relevance


def directed(query: int, item: int, direction: Direction) -> float:
    """What `DirectedRelevance` says of one pair."""
    return float(prepared(DirectedRelevance())(torch.tensor([query]), torch.tensor([item]), direction))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_label_smoothing(direction: Direction) -> None:
    target = prepared(SmoothedTargets(smoothing=0.3))(QUERIES, ITEMS, direction)
    for i, query in enumerate(QUERIES):
        own = [j for j, item in enumerate(ITEMS) if AUDIO[query] == AUDIO[item]]
        expected = [0.7 / len(own) if j in own else 0.3 / (len(ITEMS) - len(own)) for j in range(len(ITEMS))]
        assert target[i].tolist() == pytest.approx(expected)


def test_nothing_is_smoothed_where_all_items_are_relevant() -> None:
    target = prepared(SmoothedTargets())(torch.tensor([0, 1]), torch.tensor([0, 1]), TEXT_TO_AUDIO)
    assert target.tolist() == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("above", "margin"), [(0.6, None), (None, 0.2), (None, 0.0)])
def test_false_negatives_are_left_out(above: float | None, margin: float | None, direction: Direction) -> None:
    relevance = prepared(FalseNegatives(guide=DirectedRelevance(), above=above, margin=margin))
    values = relevance(QUERIES, ITEMS, direction).tolist()
    for i, query in enumerate(QUERIES.tolist()):
        limit = above if margin is None else directed(query, query, direction) - margin
        assert limit is not None
        for j, item in enumerate(ITEMS.tolist()):
            expected = (
                1.0 if AUDIO[query] == AUDIO[item] else IGNORED if directed(query, item, direction) > limit else 0
            )
            assert values[i][j] == expected
    assert {IGNORED, 1.0} <= set(np.ravel(values))


def test_each_direction_has_its_own_relevance() -> None:
    relevance = prepared(ByDirection(SameAudio(), DirectedRelevance()))
    assert not relevance.symmetric
    by_direction = relevance.by_direction(QUERIES, ITEMS, DIRECTIONS)
    assert torch.equal(by_direction[TEXT_TO_AUDIO], prepared(SameAudio())(QUERIES, ITEMS, TEXT_TO_AUDIO))
    assert torch.equal(by_direction[AUDIO_TO_TEXT], prepared(DirectedRelevance())(QUERIES, ITEMS, AUDIO_TO_TEXT))


def rated(folder: Path, *rows: str) -> str:
    path = folder / "ratings.csv"
    path.write_text("\n".join(["caption,recording,rating", *rows]) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_ratings_are_targets_where_there_are_any(direction: Direction, tmp_path: Path) -> None:
    rows = ["rain,dog.wav,20", "a dog barks,bell.wav,55.5", "rain,rain.wav,90", "a bell,unknown.wav,3"]
    relevance = prepared(HumanRatings(rated(tmp_path, *rows)))
    ratings = {("rain", "dog.wav"): 0.2, ("a dog barks", "bell.wav"): 0.555, ("rain", "rain.wav"): 0.9}
    values = relevance(QUERIES, ITEMS, direction).tolist()
    for i, query in enumerate(QUERIES.tolist()):
        for j, item in enumerate(ITEMS.tolist()):
            caption, audio = (query, AUDIO[item]) if direction == TEXT_TO_AUDIO else (item, AUDIO[query])
            fallback = float(AUDIO[query] == AUDIO[item])
            expected = fallback if AUDIO[caption] == audio else ratings.get((CAPTIONS[caption], NAMES[audio]), fallback)
            assert values[i][j] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["rain,dog.wav,120"], r"line 2: rating '120' is no number from 0 to 100"),
        (["rain,dog.wav,much"], r"line 2: rating 'much' is no number"),
        (["rain,dog.wav,1", "rain,dog.wav,2"], "line 3: another rating of one pair"),
        (["snow,dog.wav,1"], "rates no caption of this data set"),
    ],
)
def test_ratings_that_cannot_be_used(rows: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(RelevanceError, match=message):
        prepared(HumanRatings(rated(tmp_path, *rows)))


def test_a_file_of_ratings_without_a_column_or_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("caption,rating\n")
    with pytest.raises(RelevanceError, match="has no column 'recording'"):
        prepared(HumanRatings(str(tmp_path / "ratings.csv")))
    with pytest.raises(RelevanceError, match=r"nothing\.csv: cannot be read"):
        prepared(HumanRatings(str(tmp_path / "nothing.csv")))


def test_similarity_of_recordings(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((5, 3)) + 0.5
    np.savez(tmp_path / "audio.npz", names=np.array([*reversed(NAMES), "another.wav"]), embeddings=table)
    relevance = prepared(AudioSimilarity(str(tmp_path / "audio.npz"), Linear()))
    unit = dict(zip([*reversed(NAMES)], table / np.linalg.norm(table, axis=1, keepdims=True), strict=False))
    values = relevance(QUERIES, ITEMS, TEXT_TO_AUDIO).tolist()
    for i, query in enumerate(QUERIES):
        for j, item in enumerate(ITEMS):
            cosine = unit[NAMES[AUDIO[query]]] @ unit[NAMES[AUDIO[item]]]
            assert values[i][j] == pytest.approx(min(max(cosine, 0), 1), abs=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array(NAMES[:2]), "embeddings": np.ones((2, 3))}, "no embedding of 2 of 4 .* 'bell.wav'"),
        ({"names": np.array(NAMES), "embeddings": np.ones((2, 3))}, "give one finite row for each name"),
        ({"names": np.array(NAMES)}, "cannot be read .* names and embeddings"),
        ({"names": np.array(NAMES, dtype=object), "embeddings": np.ones((4, 3))}, "cannot be read"),
    ],
)
def test_embeddings_that_cannot_be_used(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "audio.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(RelevanceError, match=message):
        prepared(AudioSimilarity(str(tmp_path / "audio.npz")))


@pytest.mark.parametrize("relevance", [HumanRatings("x.csv"), AudioSimilarity("x.npz")])
def test_lookup_before_prepare_says_so(relevance: Relevance) -> None:
    with pytest.raises(RelevanceError, match=r"before prepare\(\)"):
        relevance(QUERIES, ITEMS, TEXT_TO_AUDIO)


def test_compositions_that_make_no_sense_are_refused() -> None:
    masked = FalseNegatives(guide=SameAudio())
    with pytest.raises(RelevanceError, match="give one, and null for one"):
        FalseNegatives(guide=SameAudio(), margin=0.1)
    with pytest.raises(RelevanceError, match="MixedTargets: a part leaves pairs out"):
        MixedTargets([masked], [None])
    with pytest.raises(RelevanceError, match="SmoothedTargets: its part leaves pairs out"):
        SmoothedTargets(masked)
    with pytest.raises(RelevanceError, match="HumanRatings: its fallback leaves pairs out"):
        HumanRatings("x.csv", masked)
