"""Relevance out of files: looked up by recording, with noise, and refused where it cannot be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.directions import AUDIO_TO_TEXT
from common.errors import RelevanceError
from relevance.targets.known_relevance import KnownRelevance, noisy


def square(count: int, seed: int) -> np.ndarray:
    """A symmetric table of relevance with ones on its diagonal."""
    drawn = np.random.default_rng(seed).uniform(0, 1, (count, count)).astype(np.float32)
    table = (drawn + drawn.T) / 2
    np.fill_diagonal(table, 1)
    return table


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Tables of 4 and 3 recordings."""
    paths = [tmp_path / "train.npy", tmp_path / "validation.npy"]
    for seed, (path, count) in enumerate(zip(paths, (4, 3), strict=True)):
        np.save(path, square(count, seed))
    return [str(path) for path in paths]


def prepared(files: list[str], noise: float = 0.0) -> KnownRelevance:
    """Of two captions a recording, caption ids 0 .. 13."""
    relevance = KnownRelevance(files, noise)
    relevance.prepare([""] * 14, np.repeat(np.arange(7), 2))
    return relevance


def test_captions_have_the_relevance_of_their_recordings(files: list[str]) -> None:
    relevance = prepared(files)
    for first, ids in ((0, [0, 3, 4, 7]), (4, [9, 8, 13])):
        table = square(4, 0) if first == 0 else square(3, 1)
        found = relevance(torch.tensor(ids), torch.tensor(ids[::-1]), AUDIO_TO_TEXT)
        expected = [[table[a // 2 - first, b // 2 - first] for b in ids[::-1]] for a in ids]
        np.testing.assert_array_equal(found.numpy(), np.array(expected, np.float32))


def test_noise_is_symmetric_and_leaves_the_recording_itself(files: list[str]) -> None:
    table = square(200, 3)
    found = noisy(table, 0.1, 0)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)
    inside = (found > 0) & (found < 1)
    assert np.std((found - table)[inside]) == pytest.approx(0.1, rel=0.1)
    assert found.min() >= 0
    assert found.max() <= 1
    ids = torch.arange(8)
    assert torch.equal(prepared(files, 0.1)(ids, ids), prepared(files, 0.1)(ids, ids))
    assert not torch.equal(prepared(files, 0.1)(ids, ids), prepared(files)(ids, ids))


def test_what_is_refused(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(RelevanceError, match=r"^KnownRelevance.files know 4 recordings, and recording 5 is none"):
        prepared(files[:1])(torch.tensor([10]), torch.tensor([11]))
    with pytest.raises(RelevanceError, match="before prepare"):
        KnownRelevance(files)(torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(RelevanceError, match="files is empty"):
        KnownRelevance([])
    with pytest.raises(RelevanceError, match=r"KnownRelevance: noise is -1; give a number from 0"):
        KnownRelevance(files, -1)
    bad = tmp_path / "bad.npy"
    for table, message in (
        (np.zeros((2, 3), np.float32), r"holds float32 \(2, 3\); give a square table of float32"),
        (np.zeros((2, 2)), r"holds float64 \(2, 2\); give a square table of float32"),
        (np.full((2, 2), np.nan, np.float32), "holds values outside"),
        (np.full((2, 2), 1.5, np.float32), "holds values outside"),
    ):
        np.save(bad, table)
        with pytest.raises(RelevanceError, match=message):
            prepared([str(bad)])
    bad.write_text("no table")
    with pytest.raises(RelevanceError, match=r"bad.npy: cannot be read .*; give a .npy file of relevance"):
        prepared([str(bad)])
