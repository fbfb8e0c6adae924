"""What do a batch's targets cost that three teachers estimate?

    python benchmarks/teachers.py --batch 64

Relevance and target distribution of a batch in both directions, looked up in memory-mapped fp16 tables of 50,000
captions and 10,000 recordings by teachers of 1,024 dimensions (random, unit length), beside the step of the small model
itself (SmallCNN on 10 s clips and the frozen MiniLM, forward and backward, measured with 32 pairs and scaled to the
batch). Medians.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from targets import median_seconds, small_step, write_table
from timing import command_line, machine

from relevance.objectives.base import target_distribution
from relevance.targets.estimated_correspondence import EstimatedCorrespondence, TaughtData, TeacherTable, data_sha256


def taught(folder: Path, captions: int, recordings: int, teachers: int, dim: int) -> EstimatedCorrespondence:
    names = [f"teacher {number}" for number in range(teachers)]
    tables = []
    for name in names:
        for kind, rows in (("audio", recordings), ("text", captions)):
            write_table(folder / f"{name} {kind}.npy", rows, dim)
        audio, text = (np.load(folder / f"{name} {kind}.npy", mmap_mode="r") for kind in ("audio", "text"))
        tables.append(TeacherTable(name, "", audio, text))
    texts, audio_of = [f"caption {i}" for i in range(captions)], np.arange(captions) % recordings
    relevance = EstimatedCorrespondence(names)
    relevance.take(tables, TaughtData(np.arange(recordings), np.arange(captions), data_sha256(texts, audio_of)))
    relevance.prepare(texts, audio_of)
    return relevance


def lookup(relevance: EstimatedCorrespondence, captions: int, batch: int, repeats: int) -> float:
    rng = np.random.default_rng(0)
    draws = iter([torch.from_numpy(rng.choice(captions, batch, replace=False)) for _ in range(repeats + 1)])

    def targets() -> list[torch.Tensor]:
        ids = next(draws)
        found = relevance.by_direction(ids, ids, ("text_to_audio", "audio_to_text"))
        return [target_distribution(each, 0.025) for each in found.values()]

    return median_seconds(targets, repeats)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--captions", type=int, default=50_000)
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--teachers", type=int, default=3)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(f"batch of {options.batch}, {machine()}")
    step = small_step(options.repeats) * options.batch
    print(f"small model's step  {1000 * step:9.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        relevance = taught(Path(folder), options.captions, options.recordings, options.teachers, options.dim)
        ours = lookup(relevance, options.captions, options.batch, options.repeats)
    print(f"targets             {1000 * ours:9.2f} ms  {100 * ours / step:6.2f} % of the step")


if __name__ == "__main__":
    main()
