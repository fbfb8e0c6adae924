"""Files of human judgements, in the layouts of their publishers."""

import csv
from pathlib import Path
from typing import Any


def write_rows(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_ratings(root: Path, captions: dict[str, list[str]]) -> Path:
    """The first caption of each recording, rated for all recordings: 90 for its own, 0, 10, ... for the others."""
    names = list(captions)
    texts = [(f"t{i}{j}", f"f{i}", text) for i, name in enumerate(names) for j, text in enumerate(captions[name])]
    ratings = [
        (f"t{i}0", f"f{j}", "TP" if i == j else "C15", 90 if i == j else 10 * j)
        for i in range(len(names))
        for j in range(len(names))
    ]
    clips = [(f"f{i}", name) for i, name in enumerate(names)]
    write_rows(root / "text_data/validation_text.csv", ("tid", "fid", "text"), *texts)
    write_rows(root / "relevance_data/validation_relevances.csv", ("tid", "fid", "fid_group", "rating"), *ratings)
    write_rows(root / "audio_metadata/validation_audio_metadata.csv", ("fid", "file_name"), *clips)
    return root


SOUNDS = ["a dog barks", "rain falls on a roof", "a car passes by", "birds sing in a forest", "a bell rings", "wind"]


def write_tau(root: Path) -> Path:
    """Six clips with three captions each; each first caption is a query, rated for three clips."""
    texts = [
        (f"t{clip}{i}", f"f{clip}", text)
        for clip, sound in enumerate(SOUNDS)
        for i, text in enumerate((sound, f"{sound}, quietly", f"one can hear that {sound}"))
    ]
    ratings = []
    for clip in range(6):
        near, far = (clip + 1) % 6, (clip + 3) % 6
        chosen = ((clip, "TP", 100 - 7 * clip), (near, "C15", 4 * clip), (far, "TN", clip % 2))
        ratings += [(f"t{clip}0", f"f{other}", group, rating) for other, group, rating in chosen]
    write_rows(root / "text_data/development_text.csv", ("tid", "fid", "text"), *texts)
    write_rows(root / "relevance_data/development_relevances.csv", ("tid", "fid", "fid_group", "rating"), *ratings)
    return root
