"""The analysis of finished runs, from what their folders hold and what is known of their data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.analyses.calibration import calibration
from experiments.analyses.errors import near_misses, shares_right
from experiments.analyses.files import Analysis
from experiments.analyses.hubs import Bank, hubs
from experiments.analyses.performance import groupings_of, performance
from experiments.analyses.runs import Method
from experiments.analyses.sources import DataFacts, sources_of
from experiments.results.human_judgements import HumanJudgements


def analyse(
    methods: Sequence[Method],
    split: str,
    facts: DataFacts,
    judgements: Sequence[HumanJudgements] = (),
    banks: Mapping[Path, Bank] | None = None,
) -> Analysis:
    """All analyses of methods that were evaluated on one pool.

    Args:
        methods: from `read_methods`.
        split: that they were evaluated on.
        facts: what their data say besides the annotated pairs.
        judgements: of listeners, of this split.
        banks: of captions for QB-Norm, by run folder.

    Raises:
        RunError: embeddings that cannot be read, or judgements of other queries.
    """
    first = methods[0]
    annotated, *others = sources_of(first, facts, judgements)
    calibrated = calibration(methods, [annotated, *others], split)
    notes = [facts.note] if facts.note else []
    if not calibrated:
        notes.append("no run holds embeddings of the split, so scores are not calibrated")
    if facts.training is None:
        reference = f"{len(first.queries.queries):,} queries"
    else:
        reference = f"{len(facts.training):,} training captions"
    return Analysis(
        methods,
        split,
        reference,
        performance(methods, groupings_of(first, facts)),
        hubs(methods, split, banks or {}),
        calibrated,
        [row for method in methods for row in near_misses(method, others)],
        [row for method in methods for row in shares_right(method, others)],
        notes,
    )
