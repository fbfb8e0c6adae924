"""Fusion of several runs, and reranking of one by another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from common.errors import RunError
from evaluation.fused_scores import FusedScores, ReciprocalRankScores, checked_weights
from evaluation.fusion_weights import best_weights
from evaluation.reranked_scores import RerankedScores
from evaluation.scores import Scores
from experiments.combined.combined_run import check_output, facts_of_runs, write_combined
from experiments.combined.shared_pool import SharedPool, check_apart, has_pool, read_shared_pool

Method = Literal["mean", "ranks"]
SEARCHED = "validation"


@dataclass(frozen=True)
class Weights:
    """Weights of runs, and where they come from, in words."""

    values: list[float]
    source: str


def parsed_weights(given: Sequence[str], runs: int) -> list[float] | None:
    """Weights from the words of a command line: "equal", one number for each run; None for "validation", a search.

    Raises:
        RunError: another word or another number of numbers.
    """
    if list(given) == [SEARCHED]:
        return None
    if list(given) == ["equal"]:
        return [1 / runs] * runs
    if list(given) == ["test"]:
        raise RunError(
            "--weights test: weights are never searched on the test split, whose results would then be their own; give "
            "validation, equal, or one number for each run"
        )
    try:
        return checked_weights([float(word) for word in given], runs)
    except ValueError as error:  # RelevanceError is one too
        raise RunError(
            f"--weights {' '.join(given)}: give validation, equal, or {runs} numbers >= 0, one for each run, not all 0"
        ) from error


def weights_of(given: Sequence[str], folders: Sequence[Path], *, intersect: bool = False) -> Weights:
    """The weights that a command line asks for, searched on the runs' validation pools where it says so.

    Of the test pools a search reads the names and captions alone, to refuse a validation split that overlaps.

    Args:
        given: words; see `parsed_weights`.
        folders: of the runs.
        intersect: as of `read_shared_pool`.

    Raises:
        RunError: as `parsed_weights` and `read_shared_pool`; or a validation recording is a test recording too.
    """
    values = parsed_weights(given, len(folders))
    if values is not None:
        return Weights(values, " ".join(given))
    if missing := [folder for folder in folders if not has_pool(folder, SEARCHED)]:
        raise RunError(
            f"{missing[0]}: has no embeddings of its validation split, on which weights are searched; get them with "
            f"`python train.py validate --config {missing[0] / 'config_fit.yaml'}`, or give --weights equal"
        )
    validation = read_shared_pool(folders, SEARCHED, intersect=intersect)
    check_apart(validation, read_shared_pool(folders, "test", intersect=intersect))
    described = validation.pools[0].caption_audio
    values, reached = best_weights(validation.scores, torch.arange(len(described)), described)
    return Weights(values, f"searched on validation, text to audio mAP@10 {100 * reached:.1f} % there")


def fuse(
    folders: Sequence[Path],
    output: Path,
    code: Path,
    *,
    method: Method = "mean",
    weights: Sequence[str] = (SEARCHED,),
    intersect: bool = False,
) -> Weights | None:
    """Fuse runs and write the results into a run folder; the weights that were used, None for ranks.

    Raises:
        RunError: there are not two runs, or as `check_output`, `read_shared_pool` and `weights_of`.
    """
    folder = check_output(output)
    if len(folders) < 2:
        raise RunError(f"{folders[0]}: is the only run; give at least two to fuse")
    facts: dict[str, Any] = {"combined": "fusion", "method": method, "runs": facts_of_runs(folders)}
    test = read_shared_pool(folders, "test", intersect=intersect)
    used: Weights | None = None
    if method == "mean":
        used = weights_of(weights, folders, intersect=intersect)
        facts |= {"weights": used.values, "weights_from": used.source}

    def combined(shared: SharedPool) -> Scores:
        return ReciprocalRankScores(shared.scores) if used is None else FusedScores(shared.scores, used.values)

    pools = (*_validation_of(folders, intersect), test)
    write_combined(folder, [(shared, combined(shared)) for shared in pools], facts, code)
    return used


def rerank(
    first: Path, second: Path, output: Path, code: Path, *, top: int, weight: float, intersect: bool = False
) -> None:
    """Rerank the candidates of a first run by a second one; arguments and candidates as of `RerankedScores`.

    Raises:
        RunError: as `check_output` and `read_shared_pool`.
        RelevanceError: as `RerankedScores`.
    """
    folders = [first, second]
    folder = check_output(output)
    about = {"combined": "reranking", "top": top, "weight": weight, "runs": facts_of_runs(folders)}
    test = read_shared_pool(folders, "test", intersect=intersect)
    combined: list[tuple[SharedPool, Scores]] = []
    for shared in (*_validation_of(folders, intersect), test):
        chosen_by, by = shared.scores
        combined.append((shared, RerankedScores(chosen_by, by, top, weight)))
    write_combined(folder, combined, about, code)


def _validation_of(folders: Sequence[Path], intersect: bool) -> list[SharedPool]:
    """The validation pools, where all runs have them: results are written for that split too."""
    there = all(has_pool(folder, SEARCHED) for folder in folders)
    return [read_shared_pool(folders, SEARCHED, intersect=intersect)] if there else []
