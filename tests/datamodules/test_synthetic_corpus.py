"""The synthetic corpus as files: its layout, the same bytes every time, whole or not there."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.errors import DataError
from datamodules.clotho import Clotho
from datamodules.leaks import find_leaks
from datamodules.synthesis import corpus
from datamodules.synthesis.corpus import describe, render_corpus
from datamodules.synthesis.truth import relevance
from datamodules.synthetic import Synthetic

CLIPS = {"development": 5, "evaluation": 3}


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus") / "synthetic"
    render_corpus(root, CLIPS, seed=3, workers=1)
    return root


def test_layout_is_that_of_clotho(rendered: Path) -> None:
    for split, count in CLIPS.items():
        tables = rendered / "clotho_csv_files"
        with (tables / f"clotho_captions_{split}.csv").open(encoding="utf-8", newline="") as file:
            captions = list(csv.DictReader(file))
        with (tables / f"clotho_metadata_{split}.csv").open(encoding="iso-8859-1", newline="") as file:
            metadata = list(csv.DictReader(file))
        assert list(captions[0]) == ["file_name", *(f"caption_{i}" for i in range(1, 6))]
        header = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license"
        assert ",".join(metadata[0]) == header
        names = [row["file_name"] for row in captions]
        assert names == [row["file_name"] for row in metadata]
        assert len(set(names)) == count
        folder = rendered / "clotho_audio_files" / split
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)
        for index, (row, meta) in enumerate(zip(captions, metadata, strict=True)):
            info = soundfile.info(folder / row["file_name"])
            assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
            assert meta["start_end_samples"] == f"[0, {info.frames}]"
            one, texts = describe(3, split, index)
            assert meta["keywords"].split(";") == [event.kind for event in one.events]
            assert tuple(row[f"caption_{i}"] for i in range(1, 6)) == texts
        truth = np.load(rendered / "relevance" / f"relevance_{split}.npy")
        scenes = [describe(3, split, index)[0] for index in range(count)]
        np.testing.assert_array_equal(truth, relevance(scenes, scenes))


def test_the_number_of_events_is_that_of_the_scenes(rendered: Path) -> None:
    counts = Synthetic(str(rendered)).event_counts("test")
    assert counts.tolist() == [len(describe(3, "evaluation", index)[0].events) for index in range(3)]
    assert Clotho(str(rendered)).event_counts("test") is None


def test_splits_and_seeds_share_no_recording(rendered: Path, tmp_path: Path) -> None:
    render_corpus(tmp_path / "other", CLIPS, seed=4, workers=1)
    wavs = [path.read_bytes() for root in (rendered, tmp_path / "other") for path in root.rglob("*.wav")]
    assert len(set(wavs)) == len(wavs) == 16


def test_no_clip_comes_from_freesound(tmp_path: Path) -> None:
    render_corpus(tmp_path / "corpus", {"development": 2, "validation": 2, "evaluation": 2}, workers=1)
    data = Clotho(str(tmp_path / "corpus"))
    assert [data.origins(split) for split in data.splits] == [{}, {}, {}]
    assert find_leaks([("Clotho", data)]) == []


@pytest.mark.slow
def test_same_arguments_give_the_same_bytes_with_any_number_of_workers(rendered: Path, tmp_path: Path) -> None:
    render_corpus(tmp_path / "again", CLIPS, seed=3, workers=2)
    assert files_of(tmp_path / "again") == files_of(rendered)


def test_a_clip_does_not_depend_on_how_many_there_are(rendered: Path, tmp_path: Path) -> None:
    render_corpus(tmp_path / "small", {"development": 2}, seed=3, workers=1)
    name = "clotho_audio_files/development/development_00001.wav"
    assert (tmp_path / "small" / name).read_bytes() == (rendered / name).read_bytes()


def test_a_finished_corpus_is_not_rendered_again(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "render_file", lambda job: pytest.fail("rendered again"))
    before = files_of(rendered)
    render_corpus(rendered, dict(reversed(CLIPS.items())), seed=3, workers=1)
    assert files_of(rendered) == before


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_broken_render_leaves_nothing(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corpus.render_file

    def breaks(job: corpus.Job) -> int:
        if job.index == 2:
            raise error
        return whole(job)

    monkeypatch.setattr(corpus, "render_file", breaks)
    with pytest.raises(type(error)):
        render_corpus(tmp_path / "corpus", CLIPS, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_render_does_not_pass_as_whole(rendered: Path, tmp_path: Path) -> None:
    shutil.copytree(rendered, tmp_path / ".corpus.0123abcd.part")
    (tmp_path / ".corpus.0123abcd.part" / "corpus.json").unlink()
    render_corpus(tmp_path / "corpus", CLIPS, seed=3, workers=1)
    assert files_of(tmp_path / "corpus") == files_of(rendered)


def test_of_two_at_once_the_first_wins(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = corpus.render_file

    def is_overtaken(job: corpus.Job) -> int:
        if not (tmp_path / "corpus").exists():
            shutil.copytree(rendered, tmp_path / "corpus")
        return whole(job)

    monkeypatch.setattr(corpus, "render_file", is_overtaken)
    render_corpus(tmp_path / "corpus", CLIPS, seed=3, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert files_of(tmp_path / "corpus") == files_of(rendered)


def test_an_empty_folder_is_filled(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    render_corpus(tmp_path / "corpus", CLIPS, seed=3, workers=1)
    assert files_of(tmp_path / "corpus") == files_of(rendered)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("keep me")
    with pytest.raises(DataError, match="holds something else than a synthetic corpus; give a new or an empty folder"):
        render_corpus(tmp_path, CLIPS, workers=1)
    assert files_of(tmp_path) == {"thesis.txt": b"keep me"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 0}, r"another synthetic corpus \(seed 3 instead of 0\); delete it or give another root"),
        ({"clips": {"development": 5}}, r"another synthetic corpus \(clips \{.*\} instead of \{'development': 5\}\)"),
    ],
)
def test_another_corpus_is_refused(rendered: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        render_corpus(rendered, **({"clips": CLIPS, "seed": 3, "workers": 1} | change))  # type: ignore[arg-type]


def test_a_corpus_of_another_generator_is_refused(rendered: Path, tmp_path: Path) -> None:
    shutil.copytree(rendered, tmp_path / "corpus")
    marker = json.loads((rendered / "corpus.json").read_text())
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps(marker | {"generator_version": 0}))
    with pytest.raises(DataError, match="generator_version 0 instead of"):
        render_corpus(tmp_path / "corpus", CLIPS, seed=3, workers=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "must not be negative"),
        ({"clips": {"development": 0}}, "'development': 0"),
        ({"clips": {"../up": 2}}, "'../up': 2"),
        ({"clips": {}}, "no split"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        render_corpus(tmp_path / "corpus", **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        render_corpus(tmp_path / "file" / "corpus", CLIPS, workers=1)
