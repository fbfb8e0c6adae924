"""Tiny corpora in the layouts of AudioCaps, WavCaps, SoundDescs, ActivityNet-Captions and QuerYD."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.support.expert_features import write_pickle

RATE = 16_000


def write_audio(path: Path, seconds: float = 0.3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    soundfile.write(path, 0.1 * rng.standard_normal(round(RATE * seconds)), RATE)


def write_audiocaps(root: Path) -> None:
    """Five training clips, two of them without a file; two validation and two test clips with five captions each."""
    rows: dict[str, list[tuple[str, str, int, str]]] = {
        "train": [
            ("11", "aaa", 30, "A dog barks"),
            ("12", "-bb_b", 0, "Rain falls, softly"),
            ("13", "ccc", 5, "A bell rings"),
            ("14", "gone", 5, "Wind blows"),
            ("15", "gone too", 5, "An engine idles"),
        ],
        "val": [(f"2{i}", video, 10, f"{video} caption {i}") for video in ("ddd", "eee") for i in range(5)],
        "test": [(f"3{i}{video}", video, 10, f"{video} caption {i}") for i in range(5) for video in ("fff", "ggg")],
    }
    rows["val"] = [(f"{number}", *row[1:]) for number, row in enumerate(rows["val"], 200)]
    (root / "dataset").mkdir(parents=True)
    for split, lines in rows.items():
        with (root / "dataset" / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["audiocap_id", "youtube_id", "start_time", "caption"])
            writer.writerows(lines)
    # The three ways in which people name the files.
    for name in ("train/aaa_30.flac", "train/Y-bb_b.wav", "train/deeper/13.wav"):
        write_audio(root / "audio" / name)
    for name in ("val/ddd_10.wav", "val/eee_10.wav", "test/fff_10.wav", "test/ggg_10.wav"):
        write_audio(root / "audio" / name)


def write_wavcaps(root: Path) -> None:
    """Three FreeSound clips, one of them excluded; three of AudioSet, one excluded, one known to be broken."""
    data = {
        "FreeSound/fsd_final": [("101", "Birds sing."), ("102", "A car passes."), ("103", "Waves roll.")],
        "AudioSet_SL/as_final": [("Yxxx.wav", "Music."), ("Yaaa.wav", "A dog."), ("Y06-g5jz-OGc.wav", "Broken.")],
    }
    for name, entries in data.items():
        path = root / "json_files" / f"{name}.json"
        path.parent.mkdir(parents=True)
        content = [{"id": item, "caption": text, "duration": 1.0, "audio": "wav_path"} for item, text in entries]
        path.write_text(json.dumps({"num_captions_per_audio": 1, "data": content}))
        for item, _ in entries:
            write_audio(root / "audio" / name.partition("/")[0] / "some" / f"{item.removesuffix('.wav')}.flac")
    (root / "json_files" / "blacklist").mkdir()
    lists = {"FreeSound": [102], "AudioSet": ["Yaaa.wav"]}  # once a number, once a string
    (root / "json_files/blacklist/blacklist_exclude_all_ac.json").write_text(json.dumps(lists))


def write_lists(folder: Path, lists: Mapping[str, Sequence[str]]) -> None:
    """Lists of ids, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, ids in lists.items():
        (folder / f"{name}_list.txt").write_text("".join(f"{item}\n" for item in ids))


def write_sounddescs(root: Path) -> None:
    """Four training, two validation and two test recordings; one description is in training and test."""
    splits = {"train": ["07000001", "nhu01", "07000002", "07000003"], "val": ["07000004", "nhu02"]}
    splits["test"] = ["07000005", "nhu03"]
    descriptions: defaultdict[str, str] = defaultdict(str)
    descriptions.update({name: f"Recording {name},\n a sound" for ids in splits.values() for name in ids})
    descriptions["07000005"] = descriptions["nhu01"]
    write_pickle(root / "sounddescs_data" / "descriptions.pkl", descriptions)
    write_lists(root / "data" / "SoundDescs", splits)
    write_lists(root / "group_filtered", {**splits, "train": splits["train"][2:]})
    for name in descriptions:
        write_audio(root / "audio" / "deeper" / f"{name}.wav")


def write_activitynet(root: Path) -> None:
    """Three training videos, one of them in no list, and two others."""
    videos = {"train": ["v_a", "v_b", "v_unlisted"], "val_1": ["v_c", "v_d"], "val_2": ["v_c", "v_d"]}
    root.mkdir(parents=True)
    for split, names in videos.items():
        content = {
            name: {
                "duration": 9.0,
                "timestamps": [[0, 4], [4, 9]],
                "sentences": [f"{split} {name} begins. ", " Then it ends."],
            }
            for name in names
        }
        (root / f"{split}.json").write_text(json.dumps(content))
    write_lists(root, {"train": ["v_b", "v_a"], "val_1": ["v_c", "v_d"]})


def write_queryd(root: Path) -> None:
    """Segments with lists of words, and whole videos with several captions each."""
    splits = {"train": ["x-x_1a", "x-2", "y-1"], "val": ["z-1"], "test": ["w-1", "w-2"]}
    captions = {name: [["Someone", "opens", name]] for ids in splits.values() for name in ids}
    write_pickle(root / "segments" / "raw_captions_combined_filtered.pkl", captions)
    write_lists(root / "segments", splits)
    videos = {"train": ["video-x", "video-y"], "val": ["video-z"], "test": ["video-w"]}
    spoken = {name: [["First", name], ["then", "more"]] for ids in videos.values() for name in ids}
    write_pickle(root / "videos" / "raw-captions.pkl", spoken)
    write_lists(root / "videos", videos)
