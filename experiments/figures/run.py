"""One picture of a run: how it learned, and what it finds for five queries."""

from collections import defaultdict
from typing import Any

import numpy as np

from common.atomic_files import replacing
from experiments.figures.style import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure, shortened, without_frame
from experiments.loggers.csv_logger import read_rows
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RunFolder

QUANTILES = (0.05, 0.3, 0.5, 0.7, 0.95)  # the examples run from an easy query to a hard one


def draw_run(folder: RunFolder) -> None:
    """Write `figure.png` from metrics.csv and queries_test.parquet: learning curve and five example queries.

    Raises:
        RunError: the run has no per-query results.
    """
    queries = rows_of(read_queries(folder.queries("test")), "text_to_audio")
    rows = read_rows(folder.metrics) if folder.metrics.exists() else []
    figure = new_figure(15, 7.5)
    curve, examples = figure.subplots(1, 2, width_ratios=(2, 3))
    _draw_curve(curve, rows)
    _draw_examples(examples, queries)
    score = np.mean([row["AP@10"] for row in queries])
    figure.suptitle(
        f"{folder.path.parent.name}, seed {folder.path.name}: text to audio mAP@10 {100 * score:.1f} % "
        f"(test, {len(queries)} queries, pool of {queries[0]['pool_size']})",
        parse_math=False,  # as below: a name or a caption may hold dollar signs
    )
    with replacing(folder.figure) as path:
        save_figure(figure, path)


def _draw_curve(axes: Any, rows: list[dict[str, Any]]) -> None:
    for name, color in (("train/loss", BLUE), ("val/loss", ORANGE)):
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            steps, values = np.array(points).T
            evaluated = name == "val/loss"
            axes.plot(
                steps,
                values,
                color=color,
                alpha=0.9 if evaluated else 0.45,
                marker="o" if evaluated else None,
                markersize=3,
                label=name,
            )
    axes.set(xlabel="training step", ylabel="loss", title="Learning curve")
    without_frame(axes, "top")
    scores = axes.twinx()
    points = [(row["step"], 100 * row[name]) for row in rows if (name := "val/text_to_audio/mAP@10") in row]
    if points:
        scores.plot(*np.array(points).T, color=GREEN, marker="o", markersize=3, label="val mAP@10, text to audio")
    scores.set_ylabel("mAP@10 (%)", color=GREEN)
    scores.set_ylim(bottom=0)
    without_frame(scores, "top")
    handles = [*axes.get_lines(), *scores.get_lines()]
    labels = [handle.get_label() for handle in handles]
    axes.legend(handles, labels, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.07))


def _draw_examples(axes: Any, queries: list[dict[str, Any]]) -> None:
    said_of = defaultdict(list)
    for row in queries:
        said_of[row["clip_id"]].append(row["query"])
    ranked = sorted(queries, key=lambda row: (row["first_rank"], row["query_id"]))
    axes.set_axis_off()
    axes.set_title("Five queries, from easy to hard: the best five clips and how one annotator described each")
    y = 0.99
    for quantile in QUANTILES:
        row = ranked[round(quantile * (len(ranked) - 1))]
        rank = f"{row['first_rank']:g}"
        heading = f"“{shortened(row['query'], 78)}”   (its own clip: rank {rank})"
        axes.text(0, y, heading, weight="bold", va="top", parse_math=False)
        y -= 0.034
        for clip, score in list(zip(row["top10_ids"], row["top10_scores"], strict=True))[:5]:
            right = clip in row["relevant_ids"]
            text = f"{'✔' if right else '   '}  {score:+.2f}  {shortened(said_of[clip][0], 88)}"
            axes.text(0.02, y, text, color=GREEN if right else GREY, va="top", fontsize=9, parse_math=False)
            y -= 0.029
        y -= 0.022
    axes.set_ylim(0, 1)
