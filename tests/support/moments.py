"""Long recordings of noise and annotated moments in them."""

import json
from pathlib import Path

import numpy as np
import soundfile

SECONDS = {"one": 9.0, "two": 6.3, "three": 1.5}
RATE = 8000
LINES = [
    {"qid": 1, "query": "loud dog", "duration": 9, "vid": "one", "relevant_windows": [[1.0, 4.0], [6.0, 8.0]]},
    {"qid": 2, "query": "short bell", "duration": 6, "vid": "two", "relevant_windows": [[2.5, 6.0]]},
    {"qid": 3, "query": "steady engine", "duration": 2, "vid": "three", "relevant_windows": [[0.0, 1.0]]},
    {"qid": 4, "query": "distant rain", "duration": 9, "vid": "one", "relevant_windows": [[3.0, 7.0]]},
]


def write_long(folder: Path) -> tuple[Path, Path]:
    """A jsonl file of four queries and the folder of their three recordings, which differ from second to second."""
    rng = np.random.default_rng(0)
    audio = folder / "long"
    audio.mkdir(parents=True)
    for name, seconds in SECONDS.items():
        gains = np.repeat(rng.uniform(0.01, 0.9, 20), RATE)[: round(seconds * RATE)]
        time = np.arange(len(gains)) / RATE
        tones = np.sin(2 * np.pi * time * np.repeat(rng.uniform(2, 40, 20), RATE)[: len(gains)])
        soundfile.write(audio / f"{name}.wav", gains * tones, RATE)
    annotations = folder / "long.jsonl"
    annotations.write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    return annotations, audio
