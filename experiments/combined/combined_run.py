"""The run folder of a combination: per-query results, pool and provenance, as a test leaves them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common.atomic_files import check_nothing_in, filled_at_once
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
from experiments.run_folder import CONFIG, RunFolder


def check_output(output: Path) -> RunFolder:
    """The folder of a new combination.

    Raises:
        RunError: it would count as another seed of trained runs.
        DataError: it holds something, is a file, or cannot be written.
    """
    check_nothing_in(output, "--output")
    around = output.resolve().parent
    if trained := sorted(around.glob(f"*/{CONFIG}")):
        raise RunError(
            f"{output}: would count as another seed of the runs in {output.parent} (such as {trained[0].parent.name}); "
            "give --output a folder such as runs/fused/0"
        )
    return RunFolder(output)


def write_combined(
    folder: RunFolder, combined: Sequence[tuple[SharedPool, Scores]], facts: Mapping[str, Any], code: Path
) -> None:
    """Evaluate combined scores on one or two splits, write all results as `test` does, or none, and print them.

    Args:
        folder: of the new run.
        combined: for each split the pools that are combined, and their scores (C, A).
        facts: on the combination, for provenance.json.
        code: folder whose git commit is noted.
    """
    evaluations = [_evaluated(shared, scores) for shared, scores in combined]
    about = {"git": git_state(code), "versions": package_versions(), **facts}
    with filled_at_once(folder.path) as inside:
        unfinished = RunFolder(inside)
        for (shared, _), evaluation in zip(combined, evaluations, strict=True):
            metadata = {"split": shared.split, "manifest_sha256": shared.manifest}
            write_pool(unfinished.pool(shared.split), _as_products(evaluation, shared))
            write_queries(unfinished.queries(shared.split), query_tables(evaluation), metadata)
            update_provenance(inside / "provenance.json", STAGES[shared.split], about)
    for evaluation in evaluations:
        print_results(evaluation, folder)


def _evaluated(shared: SharedPool, scores: Scores) -> Evaluation:
    pool = _joined(shared.pools, scores.weights if isinstance(scores, FusedScores) else None)
    return evaluate(shared.split, pool, scores)


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
