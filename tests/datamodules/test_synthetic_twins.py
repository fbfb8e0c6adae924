"""Synthetic pairs differ in the property they are named by, and in nothing else."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.synthesis.captions import name_event
from datamodules.synthesis.clips import to_pcm16
from datamodules.synthesis.scenes import KINDS, draw_event
from datamodules.synthesis.wordings import WORDINGS
from datamodules.twins.compa import read_compa
from datamodules.twins.synthetic import PROPERTIES, draw_pairs, render_pair, rendered, write_pairs

Refused = Callable[[Callable[[], object]], str]


def bag(text: str) -> Counter[str]:
    return Counter(text.lower().replace(".", "").replace(",", "").split())


@pytest.mark.parametrize("name", PROPERTIES)
def test_both_captions_and_scenes_differ(name: str) -> None:
    pairs = draw_pairs(name, 300)
    assert all(pair.caption != pair.twin_caption and pair.scene != pair.twin_scene for pair in pairs)
    assert len({(pair.caption, pair.twin_caption) for pair in pairs}) > 250
    assert pairs[:20] == draw_pairs(name, 20)
    assert pairs[:20] != draw_pairs(name, 20, seed=1)


def test_pairs_of_order_hold_the_same_words_and_events() -> None:
    for pair in draw_pairs("order", 200):
        assert bag(pair.caption) == bag(pair.twin_caption)
        assert pair.twin_scene.steps == pair.scene.steps[::-1]


def test_pairs_of_an_attribute_differ_in_one_value_and_one_word() -> None:
    for pair in draw_pairs("attribute", 200):
        (event,), (other,) = pair.scene.events, pair.twin_scene.events
        assert event.kind == other.kind
        assert sum(a != b for a, b in zip(event.values, other.values, strict=True)) == 1
        words = pair.caption.split(), pair.twin_caption.split()
        changed = {(a.lower(), b.lower()) for a, b in zip(*words, strict=True) if a != b}
        assert len(changed - {("a", "an"), ("an", "a")}) == 1


def test_pairs_of_count_have_one_and_three_events_and_share_one() -> None:
    for pair in draw_pairs("count", 100):
        assert (len(pair.scene.events), len(pair.twin_scene.events)) == (1, 3)
        assert pair.scene.main in pair.twin_scene.events


def test_pairs_of_overlap_have_the_same_events_in_two_steps_and_in_one() -> None:
    for pair in draw_pairs("overlap", 100):
        assert sorted(pair.scene.events) == sorted(pair.twin_scene.events)
        assert (len(pair.scene.steps), len(pair.twin_scene.steps)) == (2, 1)


def test_the_sounds_of_another_order_are_the_same_in_another_place() -> None:
    (pair,) = draw_pairs("order", 1, seed=3)
    first, second = render_pair(pair)
    half = len(first) // 2
    difference = first - second  # without the background
    assert len(first) == len(second)
    assert np.abs(difference[: 2 * half]).max() > 0.01
    np.testing.assert_allclose(difference[:half], -difference[half : 2 * half], atol=1e-12)


@pytest.mark.parametrize("name", PROPERTIES)
def test_sounds_are_the_same_each_time_and_not_clipped(name: str) -> None:
    for pair in draw_pairs(name, 2):
        sounds, again = render_pair(pair), render_pair(pair)
        assert all(np.array_equal(a, b) for a, b in zip(sounds, again, strict=True))
        assert len(sounds[0]) == len(sounds[1])
        assert max(np.abs(each).max() for each in sounds) <= 0.9501
        assert not np.array_equal(*sounds)


def test_written_pairs_are_read_as_compas(tmp_path: Path) -> None:
    pairs = draw_pairs("overlap", 2)
    write_pairs(tmp_path / "kept", {"overlap": pairs})
    twins = read_compa(tmp_path / "kept" / "overlap.csv", tmp_path / "kept")
    held = rendered("overlap", pairs)
    assert (twins.name, list(twins.twins)) == ("overlap", list(held.twins))
    for path, recording in zip(twins.recordings, held.recordings, strict=True):
        assert isinstance(recording, dict)
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == recording["sampling_rate"]
        np.testing.assert_array_equal(samples, np.round(recording["array"] * 32767))
    np.testing.assert_array_equal(samples, to_pcm16(render_pair(pairs[1])[1]))


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, refused: Refused) -> None:
    assert "no synthetic twins of 'time'; choose of order, attribute, count, overlap" in refused(
        lambda: draw_pairs("time")
    )
    assert "pairs is 0; give a number from 1 to 2000" in refused(lambda: draw_pairs("order", 0))
    assert "seed is -1" in refused(lambda: draw_pairs("order", 1, -1))
    (tmp_path / "file").touch()
    assert "pairs is 2001; give a number from 1 to 2000" in refused(lambda: draw_pairs("order", 2001))
    drawn = {"order": draw_pairs("order", 1)}
    assert "file: is a file; give a folder" in refused(lambda: write_pairs(tmp_path / "file", drawn))
    (tmp_path / "order.csv").write_text("mine")
    message = refused(lambda: write_pairs(tmp_path, drawn))
    assert message == f"{tmp_path}: holds something already (file); delete it, or give --keep another folder"


def test_pairs_that_cannot_all_be_written_leave_nothing(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {name: draw_pairs(name, 1) for name in PROPERTIES}

    def full(path: Path, *_: object, **__: object) -> None:
        if path.stem.startswith("count"):
            raise OSError(28, "No space left on device")
        path.touch()

    monkeypatch.setattr("datamodules.twins.synthetic.soundfile.write", full)
    message = refused(lambda: write_pairs(tmp_path / "kept", drawn))
    assert "kept: the twins cannot be written ([Errno 28] No space left on device)" in message
    assert not (tmp_path / "kept").exists()


def test_every_attribute_of_every_kind_can_be_named() -> None:
    rng = np.random.default_rng(0)
    for kind, names in KINDS.items():
        event = draw_event(kind, rng)
        plain = {name_event(event, rng) for _ in range(30)}
        assert len(plain) <= len(WORDINGS[kind].nouns)
        for name in names:
            assert name_event(event, rng, (name,)) not in plain
