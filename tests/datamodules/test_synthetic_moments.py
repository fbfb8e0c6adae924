"""Long synthetic recordings: known spans that can be heard, the same files every time, and an oracle that finds all."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError
from datamodules.moments import audio_of, read_moments
from datamodules.synthesis import moments as synthesis
from datamodules.synthesis.moments import SILENCE, draw_story, render_moments
from evaluation.spans import span_metrics, span_summary
from evaluation.window_spans import known_overlap, spans_from_scores


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_moments(tmp_path_factory.mktemp("moments") / "corpus", recordings=3, seed=1)


@given(st.integers(0, 10**6))
def test_events_keep_their_distance(seed: int) -> None:
    story = draw_story(np.random.default_rng(seed))
    assert story.events
    edges = [0.0, *(at for start, end, _ in story.events for at in (start, end)), float(story.seconds)]
    lengths = [after - before for before, after in pairwise(edges)]
    assert min(lengths[::2]) >= SILENCE - 1e-9
    assert all(5 <= length <= 9 + 1e-9 for length in lengths[1::2])


def test_the_oracle_finds_every_moment() -> None:
    """Windows of 4 s every second, scored by how much of them is annotated."""
    predicted, annotated = [], []
    for seed in range(60):
        story = draw_story(np.random.default_rng(seed))
        for event in {event for _, _, event in story.events}:
            windows = np.array(story.windows(event))
            starts = np.arange(0, story.seconds - 3.0)
            scores = known_overlap(starts, 4.0, windows)
            predicted.append(spans_from_scores(scores, starts, 4.0, float(story.seconds)))
            annotated.append(windows)
    assert max(map(len, annotated)) == 2
    summary = span_summary(span_metrics(predicted, annotated))
    assert summary == pytest.approx(dict.fromkeys(summary, 1.0), abs=1e-12)


def test_what_is_annotated_can_be_heard(annotations: Path) -> None:
    moments = read_moments(annotations)
    files, missing = audio_of(moments, annotations.parent)
    assert (len(files), missing) == (3, [])
    for vid, path in files.items():
        samples, rate = soundfile.read(path)
        own = [moment for moment in moments if moment.vid == vid]
        assert len(samples) / rate == own[0].duration
        time = np.arange(len(samples)) / rate
        windows = np.concatenate([moment.windows for moment in own])
        sounding = ((time[:, None] >= windows[:, 0]) & (time[:, None] < windows[:, 1])).any(1)
        for start, end in windows:
            inside = samples[(time >= start) & (time < end)]
            assert np.abs(inside).max() > 1.5 * np.abs(samples[~sounding]).max()
    assert len({moment.qid for moment in moments}) == len(moments)


def test_the_same_seed_gives_the_same_files(annotations: Path, tmp_path: Path) -> None:
    again = render_moments(tmp_path / "again", recordings=3, seed=1)
    for path in [annotations, *annotations.parent.glob("audio/*.flac")]:
        assert (again.parent / path.relative_to(annotations.parent)).read_bytes() == path.read_bytes()
    other = render_moments(tmp_path / "other", recordings=3, seed=2)
    assert other.read_bytes() != annotations.read_bytes()


def test_it_is_whole_or_not_there(annotations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "render_story", lambda *_: 1 / 0)
    assert render_moments(annotations.parent, recordings=3, seed=1) == annotations  # not rendered again
    with pytest.raises(ZeroDivisionError):
        render_moments(tmp_path / "corpus", recordings=1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match=r"holds another synthetic corpus \(recordings 3 instead of 4\); delete it"):
        render_moments(annotations.parent, recordings=4, seed=1)
    with pytest.raises(DataError, match="0 recordings of seed 0: give at least 1"):
        render_moments(tmp_path / "corpus", recordings=0)
