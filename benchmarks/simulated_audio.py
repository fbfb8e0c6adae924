"""Makes a corpus whose audio is simulated out of Clotho's captions: its captions are real, and no audio is needed.

    python benchmarks/simulated_audio.py --clotho data/clotho --output data/simulated --noise 0 1 2

Of each recording one caption is left out, drawn at random. The corpus has the others; the one left out stands for the
audio: its sentence embedding with Gaussian noise, as a feature store of one frame a recording, one store a noise level.
The sentence encoder must be another one than makes the targets. Queries of human judgements are not left out:

    --relevant_clips metadata_eval.csv --ratings data/tau_ratings

Train on it with `--data.root data/simulated --data.experts.caption data/simulated/noise_1`.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from timing import command_line

from common.atomic_files import replacing
from datamodules.annotated import Annotation
from datamodules.clotho import CAPTION_COLUMNS, SPLITS, Clotho
from datamodules.experts.store import FRAMES, Recording, recordings_checksum, write_store
from datamodules.judgements.dcase_relevance import read_relevant_clips
from datamodules.judgements.tau_ratings import read_rated_clips
from relevance.caption_embeddings import embed_captions, model_fingerprint

EXPERT = "caption"
Floats = npt.NDArray[np.floating]


def leave_one_out(
    annotations: Sequence[Annotation], kept: set[str], generator: np.random.Generator
) -> tuple[list[str], list[Annotation]]:
    """One caption of each recording, none of `kept` where it has another, and the recordings without it."""
    left_out, rest = [], []
    for name, captions in annotations:
        free = [i for i, caption in enumerate(captions) if caption not in kept] or range(len(captions))
        chosen = int(free[generator.integers(len(free))])
        left_out.append(captions[chosen])
        rest.append(Annotation(name, [caption for i, caption in enumerate(captions) if i != chosen]))
    return left_out, rest


def noisy(embeddings: Floats, noise: float, seed: int) -> Floats:
    """Embeddings (A, D) of unit length plus Gaussian noise whose expected length is `noise`; float32.

    The noise of one level is that of another, scaled, so levels differ in nothing else.
    """
    drawn = np.random.default_rng(seed).standard_normal(embeddings.shape)
    frames: Floats = (embeddings + noise * drawn / np.sqrt(embeddings.shape[1])).astype(np.float32)
    return frames


def write_captions(path: Path, annotations: Sequence[Annotation]) -> None:
    """Write a caption file in Clotho's layout; columns without a caption are empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", *CAPTION_COLUMNS])
        empty = [""] * len(CAPTION_COLUMNS)
        writer.writerows([name, *[*captions, *empty][: len(empty)]] for name, captions in annotations)


def simulate(clotho: Path, output: Path, kept: set[str], model: str, noises: Sequence[float], seed: int) -> int:
    """Write the captions of all splits and a store for each noise level; how many recordings there are."""
    source, spoken = Clotho(str(clotho)), []
    generator = np.random.default_rng(seed)
    for split, official in SPLITS.items():
        left_out, rest = leave_one_out(source.annotations(split), kept, generator)
        spoken += left_out
        folder = output / "clotho_csv_files"
        write_captions(folder / f"clotho_captions_{official}.csv", rest)
        shutil.copy(clotho / "clotho_csv_files" / f"clotho_metadata_{official}.csv", folder)
    corpus = Clotho(str(output))
    recordings: list[Recording] = [recording for split in SPLITS for recording in corpus.recordings(split)]
    embeddings = embed_captions(spoken, model)
    for noise in noises:
        folder = output / f"noise_{noise:g}"
        folder.mkdir(exist_ok=True)
        with replacing(folder / FRAMES) as beside, beside.open("wb") as file:
            np.save(file, noisy(embeddings, noise, seed))
        facts = {
            "expert": EXPERT,
            "model": model_fingerprint(model, None),
            "noise": noise,
            "seed": seed,
            "data_set": "Clotho",
            "data_sha256": recordings_checksum(recordings),
        }
        write_store(folder, recordings, [1] * len(recordings), facts)
    return len(recordings)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clotho", type=Path, required=True, help="folder that holds clotho_csv_files/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="sentence-transformers/all-mpnet-base-v2", help="the sentence encoder")
    parser.add_argument("--noise", type=float, nargs="+", required=True, help="expected length, beside 1")
    parser.add_argument("--relevant_clips", type=Path, help="lists whose queries are not left out")
    parser.add_argument("--ratings", type=Path, help="folder of ratings whose queries are not left out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kept = set(read_relevant_clips(options.relevant_clips)) if options.relevant_clips else set()
    if options.ratings:
        kept |= set(read_rated_clips(options.ratings, "validation"))
    count = simulate(options.clotho, options.output, kept, options.model, options.noise, options.seed)
    print(f"{count} recordings at {len(options.noise)} noise levels: {options.output}")


if __name__ == "__main__":
    main()
