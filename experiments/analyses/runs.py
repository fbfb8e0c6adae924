"""The runs that are analysed: queries from text to audio in one order, and the recordings that each run ranked best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from common.directions import AUDIO_TO_TEXT, TEXT_TO_AUDIO
from common.errors import RunError
from experiments.results.experiment import Experiment, QueryScores, read_experiments
from experiments.results.query_table import read_queries
from experiments.run_folder import RUN_TEST, RunFolder

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankedRun:
    """What one run ranked best, from text to audio.

    Attributes:
        folder: of the run.
        best: (Q, k) int64, columns of the recordings, best first; k is 10, or the size of a smaller pool.
        scores: (Q, k) of them.
        first_rank: (Q,) of the annotated recording.
    """

    folder: Path
    best: Ints
    scores: Floats
    first_rank: Floats

    def errors(self, own: Ints) -> Ints:
        """Rows of the queries whose annotated recording, column own (Q,), is not among the best."""
        return np.flatnonzero(~(self.best == own[:, None]).any(1))


@dataclass(frozen=True)
class Method:
    """All runs of one method on one split.

    Attributes:
        experiment: the scores of its S runs.
        runs: S of them.
    """

    experiment: Experiment
    runs: list[RankedRun]

    @property
    def name(self) -> str:
        """Of the experiment."""
        return self.experiment.name

    @property
    def queries(self) -> QueryScores:
        """The Q captions, by id."""
        return self.experiment.directions[TEXT_TO_AUDIO]

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the N recordings, by id."""
        return self.experiment.directions[AUDIO_TO_TEXT].queries

    @property
    def audio_ids(self) -> Ints:
        """Ids of the recordings, (N,) ascending."""
        return self.experiment.directions[AUDIO_TO_TEXT].query_ids

    @property
    def own(self) -> Ints:
        """The column of the recording that each query describes, (Q,)."""
        return columns_of(self.queries.clip_ids, self.audio_ids)


def columns_of(ids: Ints, audio_ids: Ints) -> Ints:
    """Places of ids, of any shape, among ascending ones (N,).

    Raises:
        RunError: one is not among them.
    """
    places = np.clip(np.searchsorted(audio_ids, ids), 0, len(audio_ids) - 1)
    if (audio_ids[places] != ids).any():
        raise RunError(f"recording {ids[audio_ids[places] != ids][0]} is ranked, but is no query; {RUN_TEST} again")
    return np.asarray(places, dtype=np.int64)


def read_methods(folders: Sequence[Path], split: str) -> list[Method]:
    """Methods that were evaluated on the same pool, from folders of experiments or of single runs.

    Raises:
        RunError: as `read_experiments`, or a table of queries lists no best items.
    """
    methods = []
    for experiment in read_experiments(folders, split):
        audio_ids = experiment.directions[AUDIO_TO_TEXT].query_ids
        runs = [_ranked(folder, split, audio_ids) for folder in experiment.runs]
        methods.append(Method(experiment, runs))
    return methods


def _ranked(folder: Path, split: str, audio_ids: Ints) -> RankedRun:
    path = RunFolder(folder).queries(split)
    table = read_queries(path)
    if absent := {"top10_ids", "top10_scores"} - set(table.schema.names):
        raise RunError(f"{path}: has no column {min(absent)}, the best items of each query; {RUN_TEST} again")
    table = table.filter(pc.equal(table["direction"], TEXT_TO_AUDIO)).sort_by("query_id")
    ids, scores = (table[name].to_pylist() for name in ("top10_ids", "top10_scores"))
    try:
        best, values = np.array(ids, dtype=np.int64), np.array(scores, dtype=np.float64)
    except ValueError as error:
        raise RunError(f"{path}: lists another number of best items for some queries; {RUN_TEST} again") from error
    return RankedRun(folder, columns_of(best, audio_ids), values, table["first_rank"].to_numpy())
