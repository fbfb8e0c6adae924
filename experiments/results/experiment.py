"""The results of an experiment: the per-query scores of all its runs, for the same queries in the same order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from common.directions import DIRECTIONS
from common.errors import RunError
from experiments.results.query_table import fault_of, query_tables, read_queries
from experiments.run_folder import RunFolder

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOT_METRICS = ("first_rank", "tied")
STAGES = {"test": "test", "validation": "validate"}  # the command of train.py that evaluates each split


@dataclass(frozen=True)
class QueryScores:
    """The queries of one direction, and the scores of S runs for each of the Q.

    Attributes:
        query_ids: (Q,) int64, ascending.
        queries: Q captions or file names.
        clip_ids: (Q,) int64, the recording that each query describes or is.
        relevant: Q tuples of the ids of relevant items, ascending.
        pool_size: items to choose from.
        first_rank: (S, Q) float64, expected rank of the first relevant item.
        scores: (S, Q) float64 in [0, 1] by metric: mAP@10 (a query's average precision), R@1, ... . nDCG@10 is NaN for
            a query without any gain.
    """

    query_ids: Ints
    queries: tuple[str, ...]
    clip_ids: Ints
    relevant: tuple[tuple[int, ...], ...]
    pool_size: int
    first_rank: Floats
    scores: dict[str, Floats]


@dataclass(frozen=True)
class Experiment:
    """All runs of one method on one split.

    Attributes:
        name: of the folder, `clotho_listnet`, or of one run, `clotho_listnet/0`.
        runs: S run folders.
        manifest: sha256 of the split's ids and file names; empty after `intersect`.
        directions: queries and scores by "text_to_audio" and "audio_to_text".
        own_recordings: S numbers of recordings that the runs were evaluated on, before any intersection.
        skipped: folders inside the experiment's that hold no results of the split.
    """

    name: str
    runs: tuple[Path, ...]
    manifest: str
    directions: dict[str, QueryScores]
    own_recordings: tuple[int, ...]
    skipped: tuple[Path, ...] = ()


def read_experiment(path: Path, split: str = "test") -> Experiment:
    """All runs in one experiment's folder, or one run; see `read_experiments`."""
    return read_experiments([path], split)[0]


def read_experiments(paths: Sequence[Path], split: str = "test", *, intersect: bool = False) -> list[Experiment]:
    """Experiments that were evaluated on the same pool, from their folders or from those of single runs.

    Args:
        paths: `runs/clotho_listnet` for all its seeds, `runs/clotho_listnet/0` for one.
        split: "test" or "validation".
        intersect: evaluate all runs again, on the recordings that all of them were evaluated on.

    Raises:
        RunError: no such folder, no results, results that cannot be read, a run given twice, or runs that were
            evaluated on different pools.
    """
    found = [find_runs(path, split) for path in paths]
    folders = [run for runs, _ in found for run in runs]
    resolved = [run.resolve() for run in folders]
    for i, run in enumerate(resolved):
        if run in resolved[:i]:
            raise RunError(f"{folders[i]}: given twice; name each run once")
    single = _on_shared_recordings(folders, split) if intersect else [read_run(run, split) for run in folders]
    check_same_pool(single)
    names = [_name(path, runs) for path, (runs, _) in zip(paths, found, strict=True)]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    experiments, remaining = [], iter(single)
    for name, (runs, skipped) in zip(names, found, strict=True):
        experiments.append(replace(merged(name, [next(remaining) for _ in runs]), skipped=tuple(skipped)))
    return experiments


def find_runs(path: Path, split: str) -> tuple[list[Path], list[Path]]:
    """The run folders with results of the split in an experiment's folder, or the run itself; and folders without.

    Raises:
        RunError: no such folder, or no results in it.
    """
    if not path.is_dir():
        raise RunError(
            f"{path}: no such folder; give an experiment's, such as runs/clotho_listnet, or a run's, such as "
            "runs/clotho_listnet/0"
        )
    if RunFolder(path).queries(split).is_file():
        return [path], []
    inside = [child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")]
    runs = sorted((child for child in inside if RunFolder(child).queries(split).is_file()), key=_by_seed)
    if not runs:
        files = [*path.glob("queries_*.parquet"), *path.glob("*/queries_*.parquet")]
        others = {file.stem.removeprefix("queries_") for file in files} & set(STAGES)
        deeper = sorted(path.glob(f"[!.]*/*/queries_{split}.parquet"))
        remedy = f"run `python train.py {STAGES[split]}` for it first"
        if others:
            remedy += f", or compare what is there with --split {min(others)}"
        elif deeper:
            remedy = f"give an experiment in it, such as {deeper[0].parent.parent}"
        raise RunError(f"{path}: no per-query results of the {split} split (queries_{split}.parquet); {remedy}")
    return runs, sorted(set(inside) - set(runs), key=_by_seed)


def read_run(folder: Path, split: str) -> Experiment:
    """One run's per-query results.

    Raises:
        RunError: they cannot be read, or are not what a test writes.
    """
    table, manifest = checked_queries(folder, split)
    directions = {str(name): _query_scores(table.filter(pc.equal(table["direction"], name))) for name in DIRECTIONS}
    recordings = directions["text_to_audio"].pool_size
    return Experiment(_name(folder, [folder]), (folder,), manifest, directions, (recordings,))


def checked_queries(folder: Path, split: str) -> tuple[pa.Table, str]:
    """The table of a run's per-query results, and the manifest of the recordings that they are of.

    Raises:
        RunError: as `read_run`.
    """
    path = RunFolder(folder).queries(split)
    table = read_queries(path)
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    again = f"run `python train.py {STAGES[split]}` again"
    if metadata.get("split", split) != split:
        raise RunError(f"{path}: holds results of the {metadata['split']} split, not of {split}; {again}")
    if fault := fault_of(table):
        raise RunError(f"{path}: is not what a test writes ({fault}); {again}")
    return table, metadata.get("manifest_sha256", "")


def check_same_pool(runs: Sequence[Experiment]) -> None:
    """Whether all were evaluated on the same queries, relevant items and pool.

    Raises:
        RunError: two of them were not; the message says what differs.
    """
    for other in runs[1:]:
        if differs := _difference(runs[0], other):
            raise RunError(
                f"{runs[0].runs[0]} and {other.runs[0]} were evaluated on different pools: {differs}; evaluate "
                "all again on the recordings they share with `compare --intersect`"
            )


def _difference(first: Experiment, other: Experiment) -> str | None:
    for direction in DIRECTIONS:
        label = direction.replace("_", " ")
        a, b = first.directions[direction], other.directions[direction]
        if a.pool_size != b.pool_size:
            return f"{a.pool_size} and {b.pool_size} items to choose from, {label}"
        if not np.array_equal(a.query_ids, b.query_ids):
            own, theirs = (len(np.setdiff1d(x.query_ids, y.query_ids)) for x, y in ((a, b), (b, a)))
            return f"{own} queries of the first are not in the second and {theirs} the other way round, {label}"
        for what, mine, its in (
            ("is another text", a.queries, b.queries),
            ("belongs to another recording", a.clip_ids.tolist(), b.clip_ids.tolist()),
            ("has other relevant items", a.relevant, b.relevant),
        ):
            if unequal := [i for i, pair in enumerate(zip(mine, its, strict=True)) if pair[0] != pair[1]]:
                return f"query {a.query_ids[unequal[0]]} {what} ({len(unequal)} such queries), {label}"
    if first.manifest != other.manifest:
        return f"other file names (manifest {first.manifest[:8] or 'unknown'} and {other.manifest[:8] or 'unknown'})"
    return None


def _query_scores(table: pa.Table) -> QueryScores:
    """Of one direction and run."""
    table = table.sort_by("query_id")
    metrics = [field.name for field in table.schema if pa.types.is_float64(field.type)]
    return QueryScores(
        table["query_id"].to_numpy(),
        tuple(table["query"].to_pylist()),
        table["clip_id"].to_numpy(),
        tuple(tuple(sorted(ids)) for ids in table["relevant_ids"].to_pylist()),
        table["pool_size"][0].as_py(),
        table["first_rank"].to_numpy()[None],
        {name.replace("AP@", "mAP@"): table[name].to_numpy()[None] for name in metrics if name not in NOT_METRICS},
    )


def merged(name: str, runs: Sequence[Experiment]) -> Experiment:
    """Runs that were evaluated on the same pool as one experiment, with the metrics that all of them have."""
    directions: dict[str, QueryScores] = {}
    for direction in DIRECTIONS:
        parts = [run.directions[direction] for run in runs]
        shared = [metric for metric in parts[0].scores if all(metric in part.scores for part in parts)]
        directions[direction] = replace(
            parts[0],
            first_rank=np.concatenate([part.first_rank for part in parts]),
            scores={metric: np.concatenate([part.scores[metric] for part in parts]) for metric in shared},
        )
    folders = tuple(folder for run in runs for folder in run.runs)
    own = tuple(number for run in runs for number in run.own_recordings)
    return Experiment(name, folders, runs[0].manifest, directions, own)


def _on_shared_recordings(folders: Sequence[Path], split: str) -> list[Experiment]:
    """Each run on the recordings that all have, from the embeddings of its pool."""
    # Here, so that a comparison without this needs no torch, which takes seconds to import.
    from evaluation.embedding_pool import on_common_recordings
    from evaluation.evaluator import evaluate
    from experiments.results.pool_file import read_pool

    pools = [read_pool(RunFolder(folder).pool(split)) for folder in folders]
    experiments = []
    for folder, own, shared in zip(folders, pools, on_common_recordings(pools, split), strict=True):
        tables = query_tables(evaluate(split, shared.in_order()))
        directions = {str(name): _query_scores(table) for name, table in tables.items()}
        experiments.append(Experiment(_name(folder, [folder]), (folder,), "", directions, (len(own.names),)))
    return experiments


def _name(path: Path, runs: Sequence[Path]) -> str:
    """`clotho_listnet` for an experiment's folder, `clotho_listnet/0` for a run's."""
    resolved = path.resolve()
    return f"{resolved.parent.name}/{resolved.name}" if list(runs) == [path] else resolved.name


def _by_seed(folder: Path) -> tuple[bool, int, str]:
    """Seeds by number, other folders after them by name."""
    return (not folder.name.isdecimal(), int(folder.name) if folder.name.isdecimal() else 0, folder.name)
