"""Training on one caption a recording, and on captions that belong to other recordings."""

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
from tests.support.corpus import Corpus
from tests.support.expert_features import write_features


def table_of(recordings: int) -> SplitTable:
    """Recordings 0, 2, 4, ... with two captions each."""
    rows = [AudioRow(2 * i, f"{i}.wav", Path(f"{i}.wav"), AudioInfo(40 + i, 100)) for i in range(recordings)]
    return split_table(rows, [(2 * i + k, i, f"{k} of {i}") for i in range(recordings) for k in range(2)])


def moved(table: SplitTable) -> set[int]:
    """Rows whose captions have the audio of another recording."""
    return {row for row, audio_id in enumerate(table.audio["audio_id"].to_pylist()) if audio_id != 2 * row}


@given(recordings=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 5))
def test_captions_of_a_share_get_another_recording(recordings: int, share: float, seed: int) -> None:
    table = table_of(recordings)
    noisy = table.mislabelled(share, seed)
    wanted = round(share * recordings)
    assert len(moved(noisy)) == (wanted if wanted > 1 else 0)
    assert noisy.captions is table.captions
    assert sorted(noisy.audio["name"].to_pylist()) == sorted(table.audio["name"].to_pylist())
    whole_rows = {row["audio_id"]: row for row in table.audio.to_pylist()}
    assert all(row == whole_rows[row["audio_id"]] for row in noisy.audio.to_pylist())


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_the_recordings_of_a_smaller_share_are_among_those_of_a_larger(shares: tuple[float, float]) -> None:
    small, large = (moved(table_of(30).mislabelled(share, 0)) for share in sorted(shares))
    assert small <= large


def test_features_move_with_the_audio_and_evaluation_stays(corpus: Corpus, tmp_path: Path) -> None:
    stores = {"a": str(write_features(Clotho(str(corpus.root)), tmp_path / "a", "a"))}
    data = Clotho(str(corpus.root), experts=stores, label_noise=1.0, batch_size=2, num_workers=0)
    clean = Clotho(str(corpus.root), experts=stores, batch_size=2, num_workers=0)
    for module in (data, clean):
        module.setup("fit")
    noisy, right = data.tables["train"], clean.tables["train"]
    names = right.audio["name"].to_pylist()
    for row, name in enumerate(noisy.audio["name"].to_pylist()):
        assert name != names[row]
        np.testing.assert_array_equal(noisy.experts["a"].of(row), right.experts["a"].of(names.index(name)))
    assert data.tables["validation"].manifest() == clean.tables["validation"].manifest()
    assert noisy.manifest()["sha256"] != right.manifest()["sha256"]


def test_one_caption_a_recording(corpus: Corpus) -> None:
    data = Clotho(str(corpus.root), train_captions="first", batch_size=2, num_workers=0)
    data.setup("fit")
    every = Clotho(str(corpus.root), num_workers=0).read_split("train")
    firsts = [every.captions["caption"][every.caption_rows(row).start].as_py() for row in range(len(every.audio))]
    assert data.tables["train"].captions["caption"].to_pylist() == firsts
    assert len(data.tables["validation"].captions) > len(data.tables["validation"].audio)


def test_parts_of_a_mixture_have_their_own(corpus: Corpus) -> None:
    parts = [Clotho(str(corpus.root), train_captions="first", num_workers=0), Clotho(str(corpus.root), num_workers=0)]
    mixed = Mixture(list(parts), batch_size=2, num_workers=0)
    mixed.setup("fit")
    count = len(parts[1].read_split("train").audio)
    counts = np.bincount(mixed.tables["train"].captions["audio_row"].to_numpy())
    assert (counts[:count] == 1).all()
    assert (counts[count:] > 1).all()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_of_wrong_captions_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(DataError, match=r"^data.label_noise is \S+; give a number from 0 to 1$"):
        Clotho(label_noise=share)
