"""What `audio-relevance moments` writes: predictions, figures, and a row for each query."""

import json
from pathlib import Path

from experiments.result_files import csv_text, write_together
from retrieval.moments import MomentResults, prediction_lines

FILES = ("predictions.jsonl", "figures.csv", "queries.csv")


def write_moments(folder: Path, results: MomentResults) -> None:
    """Write the files of an evaluation, all or, when one cannot be written, none.

    predictions.jsonl has lighthouse's layout of submissions (qid, query, vid, pred_relevant_windows); figures.csv the
    metrics of the model, of random scores and of the known overlap; queries.csv each query's values and the expected
    rank of its recording.
    """
    lines = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in prediction_lines(results))
    figures = [
        (name, *("" if value != value else f"{value:.6f}" for value in values)) for name, *values in results.figures()
    ]
    ranks = results.ranking.per_query["first_rank"]
    rows = [
        (moment.qid, moment.vid, moment.query, f"{rank:g}", *(f"{values[i]:.6f}" for values in results.spans.values()))
        for i, (moment, rank) in enumerate(zip(results.moments, ranks, strict=True))
    ]
    contents = (
        lines,
        csv_text(("metric", "model", "random_scores", "known_overlap"), figures),
        csv_text(("qid", "vid", "query", "recording_rank", *results.spans), rows),
    )
    write_together(folder, dict(zip(FILES, contents, strict=True)))
