"""Moments in long audio: recordings ranked by their best window, and the spans that a query is heard in."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from common.errors import DataError
from common.text import first_of
from datamodules.annotated import Tolerance
from datamodules.moments import TOLERANCE, Moment, audio_of
from evaluation.ranking import RankingResult, retrieval_metrics
from evaluation.scores import MatrixScores
from evaluation.spans import span_metrics, span_summary
from evaluation.window_scores import best_windows
from evaluation.window_spans import LEVEL, known_overlap, spans_from_scores
from retrieval.finished_model import FinishedModel
from retrieval.search_index import Recordings, recordings_of
from retrieval.search_store import as_tensor

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
DRAWS = 5
"""Of random scores, whose metrics are averaged."""


@dataclass(frozen=True)
class MomentResults:
    """What a model finds of annotated moments.

    Attributes:
        moments: the Q queries that were evaluated.
        predictions: for each, spans in its recording (P, 3) float64: start, end (s), score; best first.
        spans: metrics of each query (Q,), see `evaluation.spans.span_metrics`.
        random: means of the same where windows have random scores.
        overlap: where a window's score is the share of it that is annotated, with the level at which this is exact:
            what such windows allow.
        ranking: of all recordings, by their best windows.
    """

    moments: list[Moment]
    predictions: list[Floats]
    spans: dict[str, Floats]
    random: dict[str, float]
    overlap: dict[str, float]
    ranking: RankingResult

    def figures(self) -> list[tuple[str, float, float, float]]:
        """Rows of (metric, this model, random scores, known overlap), NaN where there is none."""
        summary, chance = self.ranking.summary(), self.ranking.chance()
        ranked = [name for name in summary if name.startswith(("mAP@", "R@")) and not name.endswith("_all")]
        rows = [
            (name, value, self.random[name], self.overlap[name]) for name, value in span_summary(self.spans).items()
        ]
        return rows + [(name, summary[name], chance[name], float("nan")) for name in (*ranked, "median_rank")]


def embed_recordings(
    model: FinishedModel,
    moments: Sequence[Moment],
    folder: Path,
    window: float,
    hop: float,
    missing_audio: Tolerance = "refuse",
) -> tuple[Recordings, list[Moment], str]:
    """The annotated recordings in overlapping windows, the moments in them, and what is held in words.

    Windows are embedded in batches of 32 and kept in the cache folder, so that an interrupted command continues.

    Args:
        model: embeds them.
        moments: of the annotations.
        folder: holds a file for each recording, called like its `vid`.
        window, hop: their length, and from one to the next, in s.
        missing_audio: what a recording without a file that can be read does: "skip" its queries, or "refuse".

    Raises:
        DataError: there is no such folder, or a recording is missing.
        RunError: nothing could be embedded, or the model reads no audio.
    """
    root = folder.expanduser().resolve()
    files, missing = audio_of(moments, root)
    total = len(files) + len(missing)
    if missing and missing_audio == "refuse":
        raise DataError(_missing(folder, missing, total))
    file, windows, summary = model.embed_windows(root, window, hop, files)
    found = recordings_of(windows, root, file)
    missing += [vid for vid in files if vid not in found.row]
    if missing:
        message = _missing(folder, missing, total)
        if missing_audio == "refuse":
            raise DataError(message)
        log.warning("%s", message.partition(";")[0] + "; their queries are left out")
    kept = [moment for moment in moments if moment.vid in found.row]
    _check_lengths(found, kept)
    return found, kept, summary


def evaluate_moments(
    model: FinishedModel, recordings: Recordings, moments: Sequence[Moment], level: float = LEVEL
) -> MomentResults:
    """Find each query's spans in its recording, rank all recordings by their best window, and evaluate both.

    Args:
        model: that embedded the recordings.
        recordings: in windows of one length.
        moments: Q queries, each of one of the recordings.
        level: of `evaluation.window_spans.spans_from_scores`.
    """
    counts = np.ones(len(recordings.names), np.int64) if recordings.counts is None else recordings.counts
    described = np.array([recordings.row[moment.vid] for moment in moments])
    text = model.encode_text([moment.query for moment in moments], output="torch").to(model.device)
    pool = as_tensor(recordings.vectors).to(model.device)
    best, own = best_windows(model.model.matcher.pool_scores(text, pool), counts, described)
    ranking = retrieval_metrics(MatrixScores(best), np.arange(len(moments)), described)

    rng = np.random.default_rng(0)
    predictions = found_spans(recordings, described, level, lambda query, _: own[query], "finding moments")
    annotated = [moment.windows for moment in moments]
    drawn = [
        found_spans(recordings, described, level, lambda _, cut: rng.standard_normal(len(cut.starts)), "random scores")
        for _ in range(DRAWS)
    ]
    known = found_spans(
        recordings, described, LEVEL, lambda query, cut: known_overlap(cut.starts, cut.window, annotated[query])
    )
    by_chance = [span_summary(span_metrics(spans, annotated)) for spans in drawn]
    return MomentResults(
        list(moments),
        predictions,
        span_metrics(predictions, annotated),
        {name: float(np.mean([means[name] for means in by_chance])) for name in by_chance[0]},
        span_summary(span_metrics(known, annotated)),
        ranking,
    )


@dataclass(frozen=True)
class Cut:
    """How a recording is cut: starts of its windows (W,) in s, their length, and its own length in s."""

    starts: Floats
    window: float
    duration: float


def cuts_of(recordings: Recordings) -> list[Cut]:
    """How each recording is cut."""
    found = []
    for row, seconds in enumerate(recordings.seconds):
        first, last = np.searchsorted(recordings.owner, (row, row + 1))
        assert recordings.starts is not None
        assert seconds is not None
        window = seconds if recordings.window is None else min(recordings.window, seconds)
        found.append(Cut(recordings.starts[first:last], window, seconds))
    return found


def found_spans(
    recordings: Recordings,
    described: npt.NDArray[np.int64],
    level: float,
    scores_of: Callable[[int, Cut], Floats],
    task: str = "",
) -> list[Floats]:
    """The spans (P, 3) of each query in the recording it describes, by scores (W,) of that recording's windows."""
    cuts = cuts_of(recordings)
    numbers = range(len(described))
    shown = track(numbers, task, transient=True) if task and sys.stdout.isatty() else numbers
    return [
        spans_from_scores(scores_of(query, cut), cut.starts, cut.window, cut.duration, level=level)
        for query in shown
        for cut in (cuts[described[query]],)
    ]


def prediction_lines(results: MomentResults) -> list[Mapping[str, object]]:
    """The predictions in the layout of lighthouse's submissions, a query a line."""
    return [
        {
            "qid": moment.qid,
            "query": moment.query,
            "vid": moment.vid,
            "pred_relevant_windows": [[round(a, 3), round(b, 3), round(s, 6)] for a, b, s in spans.tolist()],
        }
        for moment, spans in zip(results.moments, results.predictions, strict=True)
    ]


def _missing(folder: Path, missing: Sequence[str], total: int) -> str:
    return (
        f"{folder}: no audio that can be read of {len(missing)} of {total} annotated recordings "
        f"({first_of(missing, 3)}); get them, or leave their queries out with --missing skip"
    )


def _check_lengths(recordings: Recordings, moments: Sequence[Moment]) -> None:
    """Say which files are of another length than annotated: spans would be those of another recording."""
    other = {
        moment.vid: f"{moment.vid}: {seconds:.1f} s, annotated {moment.duration:g}"
        for moment in moments
        if (seconds := recordings.seconds[recordings.row[moment.vid]]) is not None
        and abs(seconds - moment.duration) > TOLERANCE
    }
    if other:
        log.warning(
            "%d recordings are not as long as annotated (%s); are they the whole recordings?",
            len(other),
            next(iter(other.values())),
        )
