"""The run folder of a combination: per-query results, pool and provenance, as a test leaves them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common.atomic_files import check_writable
from common.errors import RunError
from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import Evaluation, evaluate
from evaluation.fused_scores import FusedScores
from evaluation.scores import EmbeddingScores, Scores
from experiments.combined.shared_pool import SharedPool
from experiments.provenance import git_state, package_versions, read_provenance, update_provenance
from experiments.results.experiment import STAGES
from experiments.results.metrics_table import print_results
from experiments.results.pool_file import write_pool
from experiments.results.query_table import query_tables, write_queries
from experiments.run_folder import RunFolder


def check_output(output: Path, runs: Sequence[Path]) -> RunFolder:
    """The folder of a new combination.

    Raises:
        RunError: it holds a run.
        DataError: it is a file, or cannot be written.
    """
    folder = RunFolder(output)
    if folder.holds_results() or folder.config.is_file() or output.resolve() in [run.resolve() for run in runs]:
        raise RunError(f"{output}: holds an earlier run; delete it, or give --output another folder")
    check_writable(output / "provenance.json")
    return folder


def write_combined(folder: RunFolder, shared: SharedPool, scores: Scores, facts: Mapping[str, Any], code: Path) -> None:
    """Evaluate combined scores on a split, print the results, and write them as `test` does.

    Args:
        folder: of the new run.
        shared: the pools that are combined.
        scores: (C, A) of them.
        facts: on the combination, for provenance.json.
        code: folder whose git commit is noted.
    """
    pool = _joined(shared.pools, scores.weights if isinstance(scores, FusedScores) else None)
    evaluation = evaluate(shared.split, pool, scores)
    print_results(evaluation, folder)
    write_pool(folder.pool(shared.split), _as_products(evaluation, shared))
    metadata = {"split": shared.split, "manifest_sha256": shared.manifest}
    write_queries(folder.queries(shared.split), query_tables(evaluation), metadata)
    about = {"git": git_state(code), "versions": package_versions(), **facts}
    update_provenance(folder.path / "provenance.json", STAGES[shared.split], about)


def facts_of_runs(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """What is known of the runs that are combined: folder, seed and checksum of the weights."""
    known = [read_provenance(run / "provenance.json").get("test", {}) for run in runs]
    return [
        {"folder": str(run), "seed": facts.get("seed"), "weights_sha256": facts.get("weights_sha256")}
        for run, facts in zip(runs, known, strict=True)
    ]


def _joined(pools: Sequence[EmbeddingPool], weights: Sequence[float] | None) -> EmbeddingPool:
    """One pool whose embeddings are those of all side by side; products of them are weighted sums of products."""
    factors = weights or [1.0] * len(pools)
    text = torch.cat([weight * pool.text for weight, pool in zip(factors, pools, strict=True)], 1)
    audio = torch.cat([pool.audio for pool in pools], 1)
    first = pools[0]
    ids = first.audio_ids, text, first.caption_ids, first.caption_audio
    return EmbeddingPool(audio, *ids, first.names, first.captions, relevance=first.relevance)


def _as_products(evaluation: Evaluation, shared: SharedPool) -> Evaluation:
    """The same, known as products of its embeddings where it is a weighted mean of such: so its file can be ranked."""
    if not isinstance(evaluation.scores, FusedScores) or any(pool.gates for pool in shared.pools):
        return evaluation
    return replace(evaluation, scores=EmbeddingScores(evaluation.pool.text, evaluation.pool.audio))
