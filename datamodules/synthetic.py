"""A corpus of synthetic sounds, rendered at first use: the embedded default that needs no download."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.annotated import Tolerance
from datamodules.clotho import SPLITS, Clotho
from datamodules.sampling.related_pairs import Related
from datamodules.synthesis.corpus import render_corpus


class Synthetic(Clotho):
    """Sound scenes of one to three events with five captions each, in Clotho's layout, with known graded relevance.

    Args:
        root: folder of the corpus; rendered there at first use, then kept.
        train_clips, validation_clips, test_clips: recordings of each split.
        corpus_seed: which corpus; another seed gives other scenes and sounds.
        batch_size: pairs a training step, on each device; also recordings an evaluation step.
        max_seconds: longer recordings are cropped.
        sample_rate: in Hz; default: what the model's audio encoder wants.
        unique_audio: whether a training batch holds a recording at most once, over all devices.
        missing_audio: what an annotated recording without a file does: "skip" it, or "refuse" to run.
        broken_audio: what a file that cannot be read does: "skip" it, or "refuse" to run.
        packed: folder of shards that pack.py made of this data set, to read the audio from; default: its own files.
        num_workers: processes that decode audio; 0 decodes in the main process.
        seed: of order and crops; default: the run's seed.
        related: put pairs whose captions are alike into one training batch, see docs/neighbours.md; default: all pairs
            are drawn at random.
    """

    def __init__(
        self,
        root: str = "data/synthetic",
        train_clips: int = 1200,
        validation_clips: int = 200,
        test_clips: int = 300,
        corpus_seed: int = 0,
        batch_size: int = 32,
        max_seconds: float | None = 10.0,
        sample_rate: int | None = None,
        unique_audio: bool = True,
        missing_audio: Tolerance = "refuse",
        broken_audio: Tolerance = "refuse",
        packed: str | None = None,
        num_workers: int = 1,
        seed: int | None = None,
        related: Related | None = None,
    ) -> None:
        super().__init__(
            root,
            batch_size,
            max_seconds,
            sample_rate,
            unique_audio,
            missing_audio,
            broken_audio,
            packed,
            num_workers,
            seed,
            related,
        )
        clips = {"train_clips": train_clips, "validation_clips": validation_clips, "test_clips": test_clips}
        check_numbers(DataError, "data", 1, **clips)
        check_numbers(DataError, "data", 0, 2**32 - 1, corpus_seed=corpus_seed)
        self.clips = {"development": train_clips, "validation": validation_clips, "evaluation": test_clips}
        self.corpus_seed = corpus_seed

    def prepare_data(self) -> None:
        """Render the corpus, unless it is there (one process calls this)."""
        render_corpus(self.root, self.clips, seed=self.corpus_seed)

    def graded_relevance(self, split: str) -> npt.NDArray[np.float32]:
        """Known relevance (A, A) in [0, 1] between the recordings of a split, from the scenes they were made of."""
        path = Path(self.root) / "relevance" / f"relevance_{SPLITS[split]}.npy"
        try:
            truth: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete {self.root} to have it rendered anew") from error
        return truth
