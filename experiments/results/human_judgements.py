"""What people's judgements say of a tested model: a table on the screen and `people_<split>.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from common.atomic_files import replacing
from common.errors import RunError
from evaluation.human_judgements import Matched, Verdict, judge_by_lists, judge_by_ratings, match

Kind = Literal["relevant_clips", "ratings"]
NOTES = {
    "relevant_clips": "mAP@16_all divides by all relevant recordings of the split (DCASE 2025 task 6), mAP@10 by those "
    "found in the top 10; R@10 is the share of relevant recordings found.",
    "ratings": "Over each query's rated recordings alone: nDCG@10 with the rating as gain, Spearman's rho and "
    "Kendall's tau-b between scores and ratings.",
}


@dataclass(frozen=True)
class People:
    """What people said of the recordings of one split.

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
                f"{self.source}: no query of {len(self.grades)} can be judged on the {self.split} split, "
                f"{matched.counts['queries_not_in_split']} are none of its captions; give the file of this data set, "
                f"or leave --run.{self.kind} out"
            )
        return matched

    def judge(self, text: Tensor, audio: Tensor, matched: Matched) -> Verdict:
        """The verdict on embeddings of all captions (C, D) and recordings (N, D) of the split, the latter as items."""
        queries = text[matched.caption]
        if self.kind == "ratings":
            return judge_by_ratings(queries, audio, matched.query, matched.item, matched.grade)
        return judge_by_lists(queries, audio, matched.query, matched.item)


def report_people(people: People, model: Any, table: Any, path: Path, metadata: Mapping[str, str]) -> None:
    """Judge a model's last evaluation, on the split that `table` describes; print the verdict and write it to `path`.

    The file has the metrics with their chance level, the counts, the sha256 of what people's judgements were read from,
    and the metadata.
    """
    pool = model.pool
    names = dict(zip(table.audio["audio_id"].to_pylist(), table.audio["name"].to_pylist(), strict=True))
    texts = dict(zip(table.captions["caption_id"].to_pylist(), table.captions["caption"].to_pylist(), strict=True))
    matched = people.match([texts[i] for i in pool.caption_ids.tolist()], [names[i] for i in pool.audio_ids.tolist()])
    verdict = people.judge(pool.text, pool.audio, matched)
    content = {
        "judged_by": people.kind,
        **metadata,
        "sha256": dict(people.sha256),
        "metrics": {name: {"value": value, "chance": verdict.chance[name]} for name, value in verdict.means.items()},
        "counts": matched.counts,
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print_verdict(people, verdict, matched.counts)


def print_verdict(people: People, verdict: Verdict, counts: Mapping[str, int]) -> None:
    """Print every metric with its chance level, and what of the judgements is not in the split."""
    ratings = people.kind == "ratings"
    pool = (
        f"{counts['queries']} queries,\n{counts['pairs']} ratings"
        if ratings
        else "{queries} in {items}".format(**counts)
    )
    table = Table()
    table.add_column("metric")
    table.add_column(f"text to audio\n{pool}", justify="right")
    table.add_column("chance", justify="right", style="dim")
    for name, value in verdict.means.items():
        table.add_row(name, _format(name, value), _format(name, verdict.chance[name]))
    console = Console()
    title = f"Judged by people: {people.source} ({people.split} split)"
    console.print(escape(title), style="bold", soft_wrap=True, highlight=False)  # a long path stays in one piece
    console.print(table)
    pairs = "ratings" if ratings else "relevant pairs"
    left_out = f", {counts['queries_left_out']} left out for lack of recordings" if counts["queries_left_out"] else ""
    console.print(
        f"{counts['pairs']} {pairs} of {counts['pairs_listed']}; not in the split: {counts['queries_not_in_split']} of "
        f"{counts['queries_listed']} queries{left_out}, {counts['items_not_in_split']} of {counts['items_listed']} "
        f"recordings. {NOTES[people.kind]}",
        style="dim",
    )


def _format(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric in ("spearman", "kendall_tau_b") else f"{100 * value:.1f} %"
