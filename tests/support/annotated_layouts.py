"""Tiny corpora in the layouts of docs/annotated_folder.md, each with what is annotated in it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.support.layouts import write_audio

Expected = dict[str, dict[str, list[str]]]
"""Captions by split and name."""


def write_csv(path: Path, *rows: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def audiocaps2(root: Path) -> Expected:
    header = ("audiocap_id", "youtube_id", "start_time", "caption")
    rows = {
        "train": [("1", "aaa", "30", "a dog barks"), ("2", "-b.b", "0", "rain falls, softly")],
        "val": [("3", "ccc", "5", "a bell rings"), ("4", "ccc", "5", "bells")],
        "test": [("5", "ddd", "5.0", "wind")],
    }
    for split, lines in rows.items():
        write_csv(root / "dataset2.0" / f"{split}.csv", header, *lines)
    for name in ("train/aaa_30.flac", "train/-b.b_0.wav", "val/ccc_5.wav", "ddd_5.mp3"):
        write_audio(root / "audio" / name)
    return {
        "train": {"aaa_30": ["a dog barks"], "-b.b_0": ["rain falls, softly"]},
        "validation": {"ccc_5": ["a bell rings", "bells"]},
        "test": {"ddd_5": ["wind"]},
    }


def macs(root: Path) -> Expected:
    expected: Expected = {"train": {}, "validation": {}}
    files = []
    for number in range(12):
        name, texts = f"airport-{number}.wav", [f"people talk {number}", f"a hall {number}"]
        notes = [{"sentence": text, "tags": ["a", "b"], "annotator_id": i} for i, text in enumerate(texts)]
        files.append({"filename": name, "annotations": notes})
        write_audio(root / "audio" / name)
        expected["validation" if number == 6 else "train"][name] = texts
    (root / "annotations").mkdir()
    (root / "annotations" / "MACS.yaml").write_text(yaml.safe_dump({"files": files}), encoding="utf-8")
    return expected


def auto_acd(root: Path) -> Expected:
    write_csv(
        root / "train.csv", ("youtube_id", "caption"), ("aaa_000030", "A dog in a yard."), ("bbb_000001", "Rain.")
    )
    write_csv(root / "test.csv", ("youtube_id", "caption"), ("ccc_000002", "A bell in a church."))
    for name in ("aaa_000030.flac", "bbb_000001.flac", "ccc_000002.flac"):
        write_audio(root / "audio" / "some" / name)
    return {
        "train": {"aaa_000030": ["A dog in a yard."], "bbb_000001": ["Rain."]},
        "test": {"ccc_000002": ["A bell in a church."]},
    }


def audiosetcaps(root: Path) -> Expected:
    rows = [("Yaaa", "A dog barks."), ("Yaaa", "Barking."), ("Y-1.5", "Rain.")]
    write_csv(root / "Dataset" / "AudioSetCaps_caption.csv", ("id", "caption"), *rows)
    for name in ("Yaaa.wav", "Y-1.5.wav"):
        write_audio(root / "audio" / name)
    return {"train": {"Yaaa": ["A dog barks.", "Barking."], "Y-1.5": ["Rain."]}}


def fusionaudio(root: Path) -> Expected:
    shared = {"instruction": "Describe it.", "input": "", "dataset": "AudioSet", "task": "caption"}
    rows = [
        {"audio_id": name, "output": text, **shared} for name, text in (("aaa.wav", "A dog."), ("bbb.wav", "Rain."))
    ]
    write_json(root / "FusionAudio.json", rows)
    write_audio(root / "audio" / "aaa.flac")  # converted since
    write_audio(root / "audio" / "bbb.wav")
    return {"train": {"aaa.wav": ["A dog."], "bbb.wav": ["Rain."]}}


def dtu(root: Path) -> Expected:
    captions = {f"caption_{i}": f"a dog, then rain {i}" for i in range(1, 6)}
    entry = {**captions, "id": "aaa_0_10000.flac", "audio": "/theirs/aaa_0_10000.flac", "duration": 10.0}
    write_json(root / "audiocaps" / "test_full.json", {"num_captions_per_audio": 5, "data": [entry]})
    write_audio(root / "audio" / "test" / "aaa_0_10000.flac")
    return {"test": {"aaa_0_10000.flac": list(captions.values())}}


LAYOUTS: dict[str, Callable[[Path], Expected]] = {
    "data/audiocaps2": audiocaps2,
    "data/macs": macs,
    "data/auto_acd": auto_acd,
    "data/audiosetcaps": audiosetcaps,
    "data/fusionaudio": fusionaudio,
    "data/dtu": dtu,
}
"""By the root that the page gives."""
