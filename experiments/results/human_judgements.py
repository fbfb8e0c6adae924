"""Human judgements of a split: how well a tested model agrees, on the screen and as `human_judgements_<split>.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.atomic_files import replacing
from common.directions import TEXT_TO_AUDIO
from common.errors import RunError
from evaluation.evaluator import Evaluation
from evaluation.human_judgements import Agreement, Matched, agreement_with_lists, agreement_with_ratings, match
from evaluation.scores import Scores
from experiments.results.metrics_table import shown_value

Kind = Literal["relevant_clips", "ratings"]
NOTES = {
    "relevant_clips": "mAP@16_all divides by all relevant recordings of the split (DCASE 2025 task 6), mAP@10 by those "
    "found in the top 10; R@10 is the share of relevant recordings found.",
    "ratings": "Over each query's rated recordings alone: nDCG@10 with the rating as gain, Spearman's rho and "
    "Kendall's tau-b between scores and ratings.",
}
COLUMNS = {"relevant_clips": "listed", "ratings": "rated"}
"""What the names of metrics end in where they stand beside those by annotated pairs."""


@dataclass(frozen=True)
class HumanJudgements:
    """What listeners found relevant among the recordings of one split.

    Attributes:
        kind: "relevant_clips" (lists of all that match, every grade 1) or "ratings".
        split: that they are about, "validation" or "test".
        source: what they were read from, for messages.
        sha256: of each file they were read from.
        grades: by query text and file name.
    """

    kind: Kind
    split: str
    source: str
    sha256: Mapping[str, str]
    grades: Mapping[str, Mapping[str, float]]

    def match(self, captions: Sequence[str], names: Sequence[str]) -> Matched:
        """The judgements as rows of the split's captions and file names.

        Raises:
            RunError: there are none of this split.
        """
        matched = match(self.grades, captions, names, ordered=self.kind == "ratings")
        if not len(matched.query):
            raise RunError(
                f"{self.source}: no query of {len(self.grades)} can be evaluated on the {self.split} split, "
                f"{matched.counts['queries_not_in_split']} are none of its captions; give the file of this data set, "
                f"or leave --run.{self.kind} out"
            )
        return matched

    def agreement(self, scores: Scores, matched: Matched) -> Agreement:
        """How well scores of the split's captions (queries) and recordings (items) agree with the judgements."""
        scores = scores.select(torch.from_numpy(matched.caption).to(scores.device))
        if self.kind == "ratings":
            return agreement_with_ratings(scores, matched.query, matched.item, matched.grade)
        return agreement_with_lists(scores, matched.query, matched.item)


def report_agreement(
    judgements: HumanJudgements, evaluation: Evaluation, path: Path, metadata: Mapping[str, str]
) -> Evaluation:
    """Print how well an evaluation, of a pool with names, agrees with human judgements, and write it to `path`.

    The file has the metrics with their chance level, the counts, the sha256 of what the judgements were read from, and
    the metadata. What is returned has the metrics of each query too, as "AP@16_all_listed" or "nDCG@10_rated".
    """
    matched = judgements.match(evaluation.pool.captions, evaluation.pool.names)
    agreement = judgements.agreement(evaluation.scores, matched)
    content = {
        "judged_by": judgements.kind,
        **metadata,
        "sha256": dict(judgements.sha256),
        "metrics": {
            name: {"value": value, "chance": agreement.chance[name]} for name, value in agreement.means.items()
        },
        "counts": matched.counts,
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print_agreement(judgements, agreement, matched.counts)
    return with_agreement(evaluation, agreement, matched, COLUMNS[judgements.kind])


def with_agreement(evaluation: Evaluation, agreement: Agreement, matched: Matched, ending: str) -> Evaluation:
    """An evaluation with an agreement as metrics from text to audio, whose names end in `_ENDING`.

    They are NaN for captions without judgements, and for all recordings, since both directions have the same columns.
    """
    rankings = dict(evaluation.rankings)
    for direction, ranking in rankings.items():
        queries = len(evaluation.pool.captions if direction == TEXT_TO_AUDIO else evaluation.pool.names)
        columns = {f"{name}_{ending}": np.full(queries, np.nan) for name in agreement.per_query}
        if direction == TEXT_TO_AUDIO:
            for column, values in zip(columns.values(), agreement.per_query.values(), strict=True):
                column[matched.caption] = values
        rankings[direction] = ranking.with_further(columns, {})
    return replace(evaluation, rankings=rankings)


def print_agreement(judgements: HumanJudgements, agreement: Agreement, counts: Mapping[str, int]) -> None:
    """Print every metric with its chance level, and what of the judgements is not in the split."""
    ratings = judgements.kind == "ratings"
    pool = (
        f"{counts['queries']} queries,\n{counts['pairs']} ratings"
        if ratings
        else "{queries} in {items}".format(**counts)
    )
    table = Table()
    table.add_column("metric")
    table.add_column(f"text to audio\n{pool}", justify="right")
    table.add_column("chance", justify="right", style="dim")
    for name, value in agreement.means.items():
        table.add_row(name, shown_value(name, value), shown_value(name, agreement.chance[name]))
    console = Console()
    title = f"Human judgements: {judgements.source} ({judgements.split} split)"
    console.print(escape(title), style="bold", soft_wrap=True, highlight=False)  # a long path stays in one piece
    console.print(table)
    pairs = "ratings" if ratings else "relevant pairs"
    left_out = (
        f", {counts['queries_left_out']} left out, their recordings missing" if counts["queries_left_out"] else ""
    )
    console.print(
        f"{counts['pairs']} {pairs} of {counts['pairs_listed']}; not in the split: {counts['queries_not_in_split']} of "
        f"{counts['queries_listed']} queries{left_out}, {counts['items_not_in_split']} of {counts['items_listed']} "
        f"recordings. {NOTES[judgements.kind]}",
        style="dim",
    )
