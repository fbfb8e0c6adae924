"""A corpus of synthetic sounds, rendered at first use: the embedded default that needs no download."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from common.numbers import check_numbers
from datamodules.annotated import Tolerance
from datamodules.clotho import SPLITS, Clotho, read_metadata_csv
from datamodules.synthesis.corpus import render_corpus


class Synthetic(Clotho):
    """Sound scenes of one to three events with five captions each, in Clotho's layout, with known graded relevance.

    Args:
        root: folder of the corpus; rendered there at first use, then kept.
        train_clips: recordings of the training split.
        validation_clips: of the validation split.
        test_clips: of the test split.
        corpus_seed: which corpus; another seed gives other scenes and sounds.
        max_seconds: longer recordings are cropped, at random in training, from the beginning in evaluation.
        missing_audio: what an annotated recording without a file does: "skip" it, or "refuse" to run.
        num_workers: processes that decode audio for each loader; 0 decodes in the main process.
        **kwargs: the options of `AnnotatedDataModule` and `AudioCaptionDataModule`.
    """

    def __init__(
        self,
        root: str = "data/synthetic",
        train_clips: int = 1200,
        validation_clips: int = 200,
        test_clips: int = 300,
        corpus_seed: int = 0,
        *,
        max_seconds: float | None = 10.0,
        missing_audio: Tolerance = "refuse",
        num_workers: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            root, None, 0, max_seconds=max_seconds, missing_audio=missing_audio, num_workers=num_workers, **kwargs
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
            raise DataError(
                f"{path}: cannot be read ({error}); delete {self.root} to have it rendered again"
            ) from error
        return truth

    def event_counts(self, split: str) -> npt.NDArray[np.int64]:
        """Known number (A,) of events in each scene: their kinds are the keywords of its metadata."""
        metadata = read_metadata_csv(self.root / "clotho_csv_files" / f"clotho_metadata_{SPLITS[split]}.csv")
        names = [row.name for row in self.annotations(split)]
        return np.array([len(metadata[name]["keywords"].split(";")) for name in names], dtype=np.int64)
