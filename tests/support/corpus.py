"""A tiny corpus in Clotho's layout, with what makes real corpora awkward."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

# (file name, sample rate in Hz, channels, seconds) of each recording.
CLIPS = {
    "development": [
        ("rain on a roof.wav", 44100, 1, 0.9),
        ("dog.wav", 32000, 1, 0.8),
        (" street.wav", 16000, 1, 0.7),
        ("Café au lait.wav", 44100, 2, 0.9),
        ("bell (2).wav", 16000, 1, 0.2),
        ("wind.wav", 32000, 1, 0.6),
    ],
    "validation": [("clock.wav", 44100, 1, 0.3), ("river.wav", 16000, 2, 0.5), ("door.wav", 32000, 1, 0.4)],
    "evaluation": [
        ("sea.wav", 16000, 1, 0.6),
        (" train.wav", 44100, 1, 0.5),
        ("crowd.wav", 32000, 2, 0.4),
        ("dog.wav", 44100, 1, 0.3),  # the name of a development clip, another recording
    ],
}
METADATA = ["file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license"]


@dataclass
class Corpus:
    """What was written: the root, and the captions of each recording, five each, by Clotho's name of the split."""

    root: Path
    captions: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def audio(self, split: str, name: str) -> Path:
        return self.root / "clotho_audio_files" / split / name

    def caption_file(self, split: str) -> Path:
        return self.root / "clotho_csv_files" / f"clotho_captions_{split}.csv"

    def metadata_file(self, split: str) -> Path:
        return self.root / "clotho_csv_files" / f"clotho_metadata_{split}.csv"


def write_corpus(root: Path) -> Corpus:
    """Write the corpus: noise, five captions a recording, the last of them not in ASCII, and metadata."""
    corpus = Corpus(root)
    rng = np.random.default_rng(0)
    (root / "clotho_csv_files").mkdir(parents=True)
    for split, clips in CLIPS.items():
        corpus.audio(split, "").mkdir(parents=True)
        corpus.captions[split] = {}
        for name, rate, channels, seconds in clips:
            noise = 0.1 * rng.standard_normal((round(rate * seconds), channels))
            soundfile.write(corpus.audio(split, name), noise, rate)
            texts = [f'{split} "{name.strip()}", heard {i} times' for i in range(1, 5)]
            corpus.captions[split][name] = [*texts, "A façade, rain — and 雨"]
        with corpus.caption_file(split).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", *(f"caption_{i}" for i in range(1, 6))])
            writer.writerows([name, *texts] for name, texts in corpus.captions[split].items())
        with corpus.metadata_file(split).open("w", encoding="iso-8859-1", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(METADATA)
            writer.writerows([name, "café;noise", "1", "link", "[0, 9]", "someone", "CC0"] for name, *_ in clips)
    return corpus
