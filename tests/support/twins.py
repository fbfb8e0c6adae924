"""Small files of twin sets in the layouts that were published, and recordings for them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

COMPA = (
    ("", "pair_file", "pair_caption", "reversed_pair_file", "reversed_pair_caption", "triplet_file", "triplet_caption"),
    (0, "ab.wav", "A dog barks, then rain falls.", "ba.wav", "Rain falls, then a dog barks.", "-", "-"),
    (1, "cd.wav", "A bell before a cat", "dc.wav", "A cat before a bell", "cdd.wav", "A bell and a cat"),
)
DTU: list[dict[str, Any]] = [
    {
        "caption_1": "A dog barks followed by rain",
        "caption_2": "Rain after a dog ",
        "id": "abcdefghijk_30000_40000.flac",
        "audio": "/scratch/AudioSet/audio/abcdefghijk_30000_40000.flac",
        "duration": 10.0,
    },
    {
        "caption_1": "A bell and a cat",
        "caption_2": "A bell before a cat.",
        "id": "-bcdefghij_0_8000.flac",
        "audio": "/scratch/AudioSet/audio/-bcdefghij__0_8000.flac",
        "duration": 8.0,
    },
]
COUNTERFACTUAL: list[dict[str, Any]] = [
    {
        "path": "development/rain on a roof.wav",
        "split": "development",
        "captions": ["Rain falls on a roof.", "It rains."],
        "samplerate": 44100,
        "duration": 22.4,
        "channels": 1,
        "captions_counterfactual": ["Gravel falls on a roof.", "It rains."],
    },
    {
        "path": "development/dog.wav",
        "captions": ["A dog barks."],
        "captions_counterfactual": ["A seal barks."],
    },
]


def write_compa(path: Path, rows: Sequence[Sequence[Any]] = COMPA) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def dtu_with(entry: int, **cells: Any) -> dict[str, Any]:
    """DTU's file with other cells in one entry; a cell of None is taken out."""
    entries = [dict(each) for each in DTU]
    entries[entry].update(cells)
    entries[entry] = {key: value for key, value in entries[entry].items() if value is not None}
    return {"num_captions_per_audio": 2, "data": entries}


def reversed_dtu() -> dict[str, Any]:
    """What DTU's reversed file makes of it; the caption without order stays."""
    content = dtu_with(0, caption_1="Rain followed by a dog barks", caption_2="A dog after rain")
    content["data"][1]["caption_2"] = "A cat before a bell."
    return content


def write_sounds(folder: Path, *names: str) -> Path:
    """Half a second of noise for each name, each another."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * rng.standard_normal(8000), 16000)
    return folder
