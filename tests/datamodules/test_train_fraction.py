"""Training on a share of the recordings: which ones, that they keep their captions and features, and the manifest."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError
from datamodules.audio import AudioInfo
from datamodules.clotho import Clotho
from datamodules.mixture import Mixture
from datamodules.table import AudioRow, SplitTable, split_table
from tests.support.corpus import Corpus, write_corpus
from tests.support.expert_features import write_features


def table_of(captions: dict[int, int]) -> SplitTable:
    """Recordings by id, with a number of captions each."""
    rows = [AudioRow(audio, f"{audio}.wav", Path(f"{audio}.wav"), AudioInfo(40, 100)) for audio in captions]
    texts = [(100 * a + i, row, f"{i} of {a}") for row, (a, n) in enumerate(captions.items()) for i in range(n)]
    return split_table(rows, texts, missing=["gone.wav"])


def captions_of(table: SplitTable) -> dict[int, list[str]]:
    """All captions by the id of their recording, counted plainly."""
    ids, rows = table.audio["audio_id"].to_pylist(), table.captions["audio_row"].to_pylist()
    texts = table.captions["caption"].to_pylist()
    return {audio: [text for text, at in zip(texts, rows, strict=True) if at == row] for row, audio in enumerate(ids)}


tables = st.dictionaries(st.integers(0, 60), st.integers(1, 4), min_size=1, max_size=30).map(
    lambda counts: dict(sorted(counts.items()))
)


@given(captions=tables, fraction=st.floats(0.01, 1), seed=st.integers(0, 5))
def test_recordings_are_drawn_with_all_their_captions(captions: dict[int, int], fraction: float, seed: int) -> None:
    whole = table_of(captions)
    part = whole.drawn(fraction, seed)
    assert len(part.audio) == max(1, round(fraction * len(captions)))
    kept, all_of_them = captions_of(part), captions_of(whole)
    assert list(kept) == sorted(kept)  # in the order of the table
    assert kept == {audio: all_of_them[audio] for audio in kept}
    assert [part.caption_rows(row) for row in range(len(part.audio))] == [
        range(sum(map(len, list(kept.values())[:row])), sum(map(len, list(kept.values())[: row + 1])))
        for row in range(len(kept))
    ]
    manifest = part.manifest()
    assert manifest.get("not_drawn", 0) == len(captions) - len(kept)
    assert (manifest["clips"], manifest["official_clips"]) == (len(kept), len(captions) + 1)
    assert manifest["share_present"] == whole.manifest()["share_present"]


@given(captions=tables, shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
def test_a_smaller_share_lies_within_a_larger_one(captions: dict[int, int], shares: tuple[float, float]) -> None:
    small, large = (set(captions_of(table_of(captions).drawn(share, 0))) for share in sorted(shares))
    assert small <= large


def test_missing_files_change_nothing_for_the_others() -> None:
    all_there = dict.fromkeys(range(100), 1)
    half = set(captions_of(table_of(all_there).drawn(0.5, 7)))
    present = {audio: 1 for audio in all_there if audio % 10}
    of_those = set(captions_of(table_of(present).drawn(0.5, 7)))
    assert len(half & of_those) >= 40  # of 45
    assert half != set(captions_of(table_of(all_there).drawn(0.5, 8)))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "corpus")


def test_a_data_module_trains_on_a_share_of_its_recordings(corpus: Corpus, tmp_path: Path) -> None:
    features = write_features(Clotho(str(corpus.root)), tmp_path / "a", "a")
    data = Clotho(str(corpus.root), experts={"a": str(features)}, train_fraction=0.5, batch_size=2, num_workers=0)
    whole = Clotho(str(corpus.root), experts={"a": str(features)}, batch_size=2, num_workers=0)
    for module in (data, whole):
        module.use_seed(3)
        module.setup("fit")
    every = whole.tables["train"]
    part = data.tables["train"]
    assert len(part.audio) == round(len(every.audio) / 2)
    assert data.tables["validation"].manifest() == whole.tables["validation"].manifest()
    place = {name: row for row, name in enumerate(every.audio["name"].to_pylist())}
    for row, name in enumerate(part.audio["name"].to_pylist()):
        np.testing.assert_array_equal(part.experts["a"].of(row), every.experts["a"].of(place[name]))
    names = {name for batch in data.train_dataloader() for name in batch.names}
    assert names <= set(part.audio["name"].to_pylist())


def test_shares_of_parts_and_of_their_mixture(corpus: Corpus) -> None:
    parts = [Clotho(str(corpus.root), train_fraction=0.5, num_workers=0), Clotho(str(corpus.root), num_workers=0)]
    count = len(parts[1].read_split("train").audio)
    mixed = Mixture(list(parts), batch_size=2, num_workers=0, train_fraction=0.5)
    mixed.setup("fit")
    together = round(count / 2) + count
    manifest = mixed.tables["train"].manifest()
    assert manifest["clips"] == round(together / 2)
    assert manifest["not_drawn"] == 2 * count - round(together / 2)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_is_above_0_and_at_most_1(fraction: float) -> None:
    with pytest.raises(DataError, match=r"^data.train_fraction is \S+; give a share above 0, 1 for all recordings$"):
        Clotho(train_fraction=fraction)
    with pytest.raises(DataError, match=r"^data.fraction_seed is -1; give a number from 0$"):
        Clotho(fraction_seed=-1)
