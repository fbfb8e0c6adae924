"""The pools of several runs in one order, with the ids that their tables of queries have."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch

from common.directions import AUDIO_TO_TEXT, TEXT_TO_AUDIO
from common.errors import RunError
from common.text import given_twice
from evaluation.embedding_pool import EmbeddingPool, captions_by_name, on_common_recordings
from evaluation.evaluator import scores_of
from evaluation.scores import Scores
from experiments.results.experiment import STAGES, checked_queries, find_runs
from experiments.results.pool_file import read_pool
from experiments.run_folder import RunFolder


@dataclass(frozen=True)
class SharedPool:
    """Pools of R runs on a split: the same recordings and captions, in order of the first run's ids.

    Attributes:
        split: "validation" or "test".
        pools: R pools under the first run's ids.
        manifest: of the first run's split; empty where the runs share only a part of it.
    """

    split: str
    pools: list[EmbeddingPool]
    manifest: str

    @property
    def scores(self) -> list[Scores]:
        """Of each run: (C, A)."""
        return [scores_of(pool) for pool in self.pools]


def single_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders in paths of runs and of experiments, each once.

    Raises:
        RunError: one holds no results of a test, or is given twice.
    """
    folders = [run for path in paths for run in find_runs(path, "test")[0]]
    if twice := given_twice(folders, Path.resolve):
        raise RunError(f"{twice}: given twice; name each run once")
    return folders


def has_pool(folder: Path, split: str) -> bool:
    """Whether a run holds the embeddings of a split."""
    return RunFolder(folder).pool(split).is_file()


def read_shared_pool(folders: Sequence[Path], split: str, *, intersect: bool = False) -> SharedPool:
    """The pools of several runs on a split.

    Args:
        folders: of the runs.
        split: "validation" or "test".
        intersect: take the recordings that all runs share; otherwise runs on other recordings are refused.

    Raises:
        RunError: a run has no such pool, it cannot be read, or the runs were evaluated on different data.
    """
    for folder in folders:
        if not has_pool(folder, split):
            run = RunFolder(folder)
            raise RunError(
                f"{run.pool(split)}: no such file; get it with `python train.py {STAGES[split]} --config {run.config}`"
            )
    pools = [read_pool(RunFolder(folder).pool(split)) for folder in folders]
    shared = [pool.in_order() for pool in on_common_recordings(pools, split)]
    whole = all(len(pool.names) == len(shared[0].names) for pool in pools)
    if not whole and not intersect:
        counts = " and ".join(dict.fromkeys(str(len(pool.names)) for pool in pools))
        raise RunError(
            f"{', '.join(map(str, folders))}: were evaluated on different {split} pools ({counts} recordings, "
            f"{len(shared[0].names)} in common); take those they share with --intersect"
        )
    audio_ids, caption_ids, manifest = _ids(RunFolder(folders[0]), split, shared[0], whole=whole)
    rows, columns = np.argsort(audio_ids), np.argsort(caption_ids)
    ordered = [_under_ids(pool.rows(rows.tolist(), columns.tolist()), audio_ids, caption_ids) for pool in shared]
    return SharedPool(split, ordered, manifest if whole else "")


def check_apart(validation: SharedPool, test: SharedPool) -> None:
    """Whether no recording of a validation split is one of the test split.

    Raises:
        RunError: some are, by name and captions.
    """
    tested = captions_by_name(test.pools[0])
    both = [name for name, captions in captions_by_name(validation.pools[0]).items() if tested.get(name) == captions]
    if both:
        raise RunError(
            f"{len(both)} validation recordings are test recordings too ('{both[0]}'): weights searched on them would "
            "see the test split; give --weights equal, or numbers"
        )


def _ids(run: RunFolder, split: str, pool: EmbeddingPool, *, whole: bool) -> tuple[list[int], list[int], str]:
    """Ids of a pool's recordings and captions in a run's table of queries, and the manifest of its split."""
    table, manifest = checked_queries(run.path, split)
    heard, said = (table.filter(pc.equal(table["direction"], side)) for side in (AUDIO_TO_TEXT, TEXT_TO_AUDIO))
    by_name = dict(zip(heard["query"].to_pylist(), heard["query_id"].to_pylist(), strict=True))
    by_text: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    columns = (said[name].to_pylist() for name in ("clip_id", "query", "query_id"))
    for clip, text, number in sorted(zip(*columns, strict=True)):
        by_text[clip, text].append(number)
    try:
        audio_ids = [by_name[name] for name in pool.names]
        clips = [audio_ids[row] for row in pool.caption_audio.tolist()]
        caption_ids = [by_text[clip, text].pop(0) for clip, text in zip(clips, pool.captions, strict=True)]
        if whole and (len(audio_ids), len(caption_ids)) != (len(heard), len(said)):
            raise KeyError("queries that are not in the pool")
    except (KeyError, IndexError) as error:
        raise RunError(
            f"{run.queries(split)}: holds other queries than {run.pool(split).name}; "
            f"run `python train.py {STAGES[split]}` again"
        ) from error
    return audio_ids, caption_ids, manifest


def _under_ids(pool: EmbeddingPool, audio_ids: Sequence[int], caption_ids: Sequence[int]) -> EmbeddingPool:
    pool.audio_ids, pool.caption_ids = torch.tensor(sorted(audio_ids)), torch.tensor(sorted(caption_ids))
    return pool
