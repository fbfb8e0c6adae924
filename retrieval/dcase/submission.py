"""A submission from start to end: embedded, fused, written, read again, and scored where the truth is known."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from common.atomic_files import check_writable, filled_at_once
from common.errors import RunError
from datamodules.audio import read_info
from evaluation.fused_scores import FusedScores
from experiments.combined.combinations import Weights, parsed_weights, weights_of
from experiments.combined.shared_pool import read_shared_pool
from experiments.provenance import weights_sha256
from retrieval.dcase.forms import Form
from retrieval.dcase.meta import as_yaml, filled, meta_of, nulls, read_template
from retrieval.dcase.output_file import clips_of, read_output, write_output
from retrieval.dcase.queries import Queries, read_query_file
from retrieval.dcase.self_score import metrics_of, self_score
from retrieval.dcase.systems import System, open_system
from retrieval.open_model import check_named_once

log = logging.getLogger(__name__)
Scored = Mapping[str, tuple[float, float]]
"""Value and chance by metric."""


@dataclass(frozen=True)
class Submitted:
    """What was written or checked.

    Attributes:
        output: the csv file.
        queries, clips: how many.
        scored: metrics where the right recordings are known.
        scored_queries: how many queries have one.
        weights: of the systems; None where a file was only checked.
        cut: a sentence on recordings that were cut; empty where none was.
        nulls: where the meta file holds nothing.
    """

    output: Path
    queries: int
    clips: int
    scored: Scored
    scored_queries: int
    weights: Weights | None = None
    cut: str = ""
    nulls: tuple[str, ...] = ()


def check(output: Path, queries_file: Path, audio: Path, form: Form) -> Submitted:
    """Check an output file, and score it where the right recordings are known.

    Raises:
        DataError: the file, or what it is of, cannot be used; the message names line and entry.
    """
    queries = read_query_file(queries_file)
    names = list(clips_of(audio))
    scored, count = _scored(form, read_output(output, form, queries, names), names, queries)
    return Submitted(output, len(queries.texts), len(names), scored, count)


def submit(
    runs: Sequence[str],
    queries_file: Path,
    audio: Path,
    form: Form,
    label: str,
    output: Path,
    *,
    weights: Sequence[str] = ("equal",),
    template: Path | None = None,
) -> Submitted:
    """Write OUTPUT/LABEL/LABEL.output.csv, its meta.yaml, and a manifest of what they were made from.

    Args:
        runs: names of the systems, for `load_run`.
        queries_file: see `read_query_file`.
        audio: folder of the recordings.
        form: of the year.
        label: of the submission.
        output: folder of all submissions.
        weights: words; see `parsed_weights`.
        template: the year's meta file.

    Raises:
        UserError: a file or run cannot be used; an earlier submission of this label is there.
    """
    check_named_once(runs)
    folder = output / label
    paths = {name: folder / f"{label}.{name}" for name in ("output.csv", "meta.yaml", "manifest.json")}
    if there := [path for path in paths.values() if path.exists()]:
        raise RunError(f"{there[0]}: is there already; delete {folder}, or give another --label or --output")
    check_writable(paths["output.csv"])
    queries, clips, wanted = read_query_file(queries_file), clips_of(audio), read_template(template, form.metric)
    clips = _in_order(clips, queries)
    names = list(clips)
    values = parsed_weights(weights, len(runs))
    systems = [open_system(name) for name in runs]
    used = _weights(systems, weights) if values is None else Weights(values, " ".join(weights))
    seconds = {name: (info := read_info(path)).frames / info.sample_rate for name, path in clips.items()}
    parts = [system.scores(clips, queries.texts, queries.per_recording) for system in systems]
    fused = FusedScores(parts, used.values)
    with filled_at_once(folder) as inside:
        written = {name: inside / path.name for name, path in paths.items()}
        write_output(written["output.csv"], form, queries, names, fused)
        scored, count = _scored(form, read_output(written["output.csv"], form, queries, names), names, queries)
        results = {name: value for name, (value, _) in (scored or _tested(form, systems, used)).items()}
        meta = filled(wanted, meta_of(label, systems, results))
        written["meta.yaml"].write_text(as_yaml(meta), encoding="utf-8")
        manifest = {
            "label": label,
            "year": form.year,
            "systems": [
                {"run": system.name, "weight": weight, "weights_sha256": weights_sha256(system.model.state_dict())}
                for system, weight in zip(systems, used.values, strict=True)
            ],
            "weights_from": used.source,
            "sha256": {path.name: _sha256(path) for path in (queries_file, written["output.csv"])},
            "queries": len(queries.texts),
            "recordings": len(names),
        }
        written["manifest.json"].write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    cut = _said_of_cut(systems, seconds)
    where = (len(queries.texts), len(names), scored, count)
    return Submitted(paths["output.csv"], *where, used, cut, tuple(nulls(meta)))


def _in_order(clips: Mapping[str, Path], queries: Queries) -> dict[str, Path]:
    """Recordings in the order of the query file, as a test reads them, then the others."""
    described = (
        dict.fromkeys(name for right in queries.relevant or () for name in right) if queries.per_recording else {}
    )
    order = [*(name for name in described if name in clips), *(name for name in clips if name not in described)]
    return {name: clips[name] for name in order}


def _scored(form: Form, matrix: Tensor, names: Sequence[str], queries: Queries) -> tuple[Scored, int]:
    if queries.relevant is None:
        return {}, 0
    scored, count = self_score(form, matrix, names, queries.relevant)
    if not count:
        log.warning("not scored: none of the recordings that the query file names is in the folder of recordings")
    return scored, count


def _weights(systems: Sequence[System], weights: Sequence[str]) -> Weights:
    if other := [system.name for system in systems if system.folder is None]:
        raise RunError(f"{other[0]}: is no run, so weights cannot be searched; give --weights equal, or numbers")
    return weights_of(weights, [system.folder.path for system in systems if system.folder])


def _tested(form: Form, systems: Sequence[System], weights: Weights) -> Scored:
    """What the fusion reaches on the runs' test split; nothing where they hold no common one."""
    folders = [system.folder.path for system in systems if system.folder]
    try:
        if len(folders) < len(systems):
            return {}
        shared = read_shared_pool(folders, "test")
    except RunError as error:
        log.warning("results of the test split are left out of the meta file: %s", error)
        return {}
    described = shared.pools[0].caption_audio
    return metrics_of(form, FusedScores(shared.scores, weights.values), torch.arange(len(described)), described)


def _said_of_cut(systems: Sequence[System], seconds: Mapping[str, float]) -> str:
    for system in systems:
        if count := system.cut(seconds):
            return (
                f"{count} of {len(seconds)} recordings are longer than {system.max_seconds:g} s: their first "
                f"{system.max_seconds:g} s were embedded"
            )
    return ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
