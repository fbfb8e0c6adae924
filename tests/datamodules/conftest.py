"""Fixtures of several tests of streamed shards."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.shards import packing
from datamodules.shards.format import Recording
from tests.support.streaming import COUNTS, RATE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed data set of short noises, six a shard; one to five captions each."""
    place = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    recordings: list[Recording] = []
    for split, count in COUNTS.items():
        for number in range(count):
            path = place / f"{split}_{number}.wav"
            soundfile.write(path, 0.2 * rng.standard_normal(rng.integers(400, 3000)), RATE)
            captions = [f"{split} {number}, caption {i}" for i in range(1 + number % 5)]
            recordings.append(Recording(len(recordings), split, path.name, captions, path))
    packing.pack(recordings, place / "shards", RATE, 6, 1)
    return place / "shards"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
