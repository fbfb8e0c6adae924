"""Methods against each other: paired tests of each pair of methods."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from common.errors import RunError
from evaluation.significance import (
    PairedTTest,
    Uncertainty,
    cluster_means,
    holm,
    paired_t_test,
    sign_flip_test,
    uncertainty,
)
from experiments.comparison.summaries import PRIMARY, Metric
from experiments.results.experiment import Experiment, check_same_pool

Floats = npt.NDArray[np.float64]

LEVEL = 0.05


@dataclass(frozen=True)
class PairTest:
    """Whether one method is better than another by one metric. Differences are method - baseline, in [-1, 1].

    Attributes:
        baseline, method: names of the two experiments.
        metric: that is compared.
        over_queries: paired t-test over queries, each query's score averaged over the runs (Xie et al. 2024).
        over_clips: the same over the means of each recording's queries.
        flips_over_queries, flips_over_clips: p-values of sign flips of the same differences.
        p_holm: `over_clips.p`, corrected for all pairs and metrics tested together.
        uncertainty: of seeds apart from that of recordings; its `a` is the method, its `b` the baseline.
        ahead: pairs of a method's and a baseline's run in which the method's mean is higher; behind: lower.
        run_pairs: all such pairs.
    """

    baseline: str
    method: str
    metric: Metric
    over_queries: PairedTTest
    over_clips: PairedTTest
    flips_over_queries: float
    flips_over_clips: float
    p_holm: float
    uncertainty: Uncertainty
    ahead: int
    behind: int
    run_pairs: int

    @property
    def significant(self) -> bool:
        """At .05, over recordings, after Holm."""
        return self.p_holm < LEVEL


def scores_of(baseline: Experiment, method: Experiment, metric: Metric) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Scores (S, Q') and (S', Q') of both, and which of the Q queries (Q,) these are.

    Queries that no run has a value for (nDCG@10 without any gain) are left out.
    """
    a, b = (experiment.directions[metric.direction].scores[metric.name] for experiment in (baseline, method))
    known = ~np.isnan(np.concatenate([a, b])).all(axis=0)
    return a[:, known], b[:, known], known


def compare_pair(baseline: Experiment, method: Experiment, metric: Metric, permutations: int = 10_000) -> PairTest:
    """All tests of one pair and metric, without a correction: `p_holm` is `over_clips.p`.

    Raises:
        RunError: the two were evaluated on different pools, or on fewer than two recordings.
        common.errors.RelevanceError: NaN or inf.
    """
    check_same_pool([baseline, method])
    a, b, known = scores_of(baseline, method, metric)
    clips = baseline.directions[metric.direction].clip_ids[known]
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    clips_a, clips_b = cluster_means(mean_a, clips), cluster_means(mean_b, clips)
    if len(clips_a) < 2:
        raise RunError(
            f"{baseline.name} and {method.name}: have {metric.key} of {len(clips_a)} recordings, and tests need 2; "
            "compare runs on a larger pool"
        )
    over_clips = paired_t_test(clips_b, clips_a)
    gaps = b.mean(axis=1)[:, None] - a.mean(axis=1)  # (S', S)
    return PairTest(
        baseline.name,
        method.name,
        metric,
        paired_t_test(mean_b, mean_a),
        over_clips,
        sign_flip_test(mean_b - mean_a, permutations),
        sign_flip_test(clips_b - clips_a, permutations),
        over_clips.p,
        uncertainty(b, a, clips),
        int((gaps > 0).sum()),
        int((gaps < 0).sum()),
        gaps.size,
    )


def compare_experiments(
    experiments: Sequence[Experiment],
    metrics: Sequence[Metric] = (PRIMARY,),
    permutations: int = 10_000,
    *,
    with_first: bool = False,
) -> list[PairTest]:
    """Pairs of experiments, the earlier one as the baseline, by each metric; Holm's correction over all of them.

    Args:
        experiments: to compare.
        metrics: to compare them by.
        permutations: sign flips.
        with_first: compare each with the first one, and not all with each other.

    Raises:
        RunError, common.errors.RelevanceError: as `compare_pair`.
    """
    pairs = product(experiments[:1], experiments[1:]) if with_first else combinations(experiments, 2)
    tests = [compare_pair(*pair, metric, permutations) for pair in pairs for metric in metrics]
    corrected = holm([test.over_clips.p for test in tests]).tolist()
    return [replace(test, p_holm=p) for test, p in zip(tests, corrected, strict=True)]
