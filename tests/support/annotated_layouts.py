"""Tiny corpora in the layouts of docs/annotated_folder.md, and of AudioCaps 2.0, each with what is annotated in it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """With one video of AudioCaps' test, and one of VGGSound's."""
    rows = [("Yr1nicOVtvkQ", "A dog barks."), ("Yr1nicOVtvkQ", "Barking."), ("Y-1.5", "Rain.")]
    tested = [("Y7fmOlUlwoNg", "Rattling."), ("YglLQrEijrKg", "An organ.")]
    write_csv(root / "Dataset" / "AudioSetCaps_caption.csv", ("id", "caption"), *rows, *tested)
    for name, rows_of in {"val": [], "test": [("1", "7fmOlUlwoNg", "20", "Constant rattling noise")]}.items():
        header = ("audiocap_id", "youtube_id", "start_time", "caption")
        write_csv(root / "data" / "audiocaps" / "dataset" / f"{name}.csv", header, *rows_of, ("2", "x", "0", "Wind"))
    (root / "data" / "vggsound").mkdir()
    (root / "data" / "vggsound" / "test.csv").write_text("glLQrEijrKg_000300.mp4,playing hammond organ\n")
    for name in ("Yr1nicOVtvkQ.wav", "Y-1.5.wav", "Y7fmOlUlwoNg.wav"):
        write_audio(root / "audio" / name)
    return {"train": {"Yr1nicOVtvkQ": ["A dog barks.", "Barking."], "Y-1.5": ["Rain."]}}


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
    "data/auto_acd": auto_acd,
    "data/audiosetcaps": audiosetcaps,
    "data/fusionaudio": fusionaudio,
    "data/dtu": dtu,
}
"""By the root that the page gives."""
