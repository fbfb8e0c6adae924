"""Fit the logistic scoring function to human ratings; print, draw and write what was found."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import yaml

from common.atomic_files import check_writable, replacing
from common.errors import RelevanceError
from datamodules.judgements.tau_ratings import Rating, read_tau_ratings
from experiments.figures.calibration import curve, draw
from relevance.calibration import (
    PAPER,
    Bools,
    Calibration,
    Floats,
    Ints,
    Pairing,
    agreement,
    fit_logistic,
    pool_similarities,
)
from relevance.caption_embeddings import embed_captions


def similarities(ratings: list[Rating], model: str) -> tuple[list[Floats], list[Bools]]:
    """For each rating: cosines of the query and the clip's captions, and which of these is the query itself."""
    texts = sorted({text for rating in ratings for text in (rating.query, *rating.captions)})
    row = {text: index for index, text in enumerate(texts)}
    table = np.asarray(embed_captions(texts, model), dtype=np.float64)  # (C, D)
    h = [table[[row[text] for text in rating.captions]] @ table[row[rating.query]] for rating in ratings]
    own = [np.array([caption == rating.query_id for caption in rating.caption_ids]) for rating in ratings]
    return h, own


def numbered(ids: list[str]) -> Ints:
    """Equal ids get equal numbers: (R,) int64."""
    return np.unique(np.asarray(ids), return_inverse=True)[1].astype(np.int64)


def table(found: Calibration, similarity: Floats, rating: Floats) -> str:
    """The constants and how well they serve, beside the paper's."""
    rows = [("", "here", "95 % interval", "Xie et al. 2024")]
    for name, value, (low, high), paper in (
        ("intercept", found.intercept, found.intercept_interval, PAPER.intercept),
        ("slope", found.slope, found.slope_interval, PAPER.slope),
    ):
        rows.append((name, f"{value:.3f}", f"{low:.3f} to {high:.3f}", f"{paper:.2f}"))
    rows.append(("precision", f"{found.precision:.3f}", "", ""))
    r2, error = zip(*(agreement(curve(f, similarity), rating) for f in (found.scoring, PAPER)), strict=True)
    rows.append(("R2 (squared correlation of g and rating)", f"{r2[0]:.3f}", "", f"{r2[1]:.3f}"))
    rows.append(("root mean square error of g", f"{error[0]:.3f}", "", f"{error[1]:.3f}"))
    return "\n".join(f"{a:<41}{b:>8}{c:>18}{d:>18}".rstrip() for a, b, c, d in rows)


def config(found: Calibration, model: str, origin: str) -> str:
    """A config that trains with the fitted constants; they hold for one Sentence-BERT, so it is named too."""
    scoring = {
        "class_path": "Logistic",
        "init_args": {"intercept": round(found.intercept, 4), "slope": round(found.slope, 4)},
    }
    relevance = {"class_path": "CaptionSimilarity", "init_args": {"model": model, "scoring": scoring}}
    return f"# Overlay: {found}, fitted to {origin}.\n" + yaml.safe_dump(
        {"model": {"relevance": relevance}}, sort_keys=False, allow_unicode=True
    )


def calibrate(root: Path, splits: Sequence[str], model: str, pairing: Pairing, out: Path) -> None:
    """Read the ratings, fit, print, draw and write.

    Args:
        root: folder of TAU Graded Relevances 2023.
        splits: whose ratings are taken, together.
        model: Sentence-BERT.
        pairing: how the similarities to several captions of a recording become one.
        out: folder of calibration.yaml and calibration.png.

    Raises:
        UserError: the ratings cannot be read or fitted, or the folder cannot be written to.
    """
    figure_path, config_path = out / "calibration.png", out / "calibration.yaml"
    check_writable(figure_path, config_path)  # before the slow work
    splits = list(dict.fromkeys(splits))
    parts = [read_tau_ratings(root, split) for split in splits]
    h, own = zip(*(similarities(part, model) for part in parts), strict=True)  # by split, as the cache is
    ratings = list(chain(*parts))
    similarity, pair = pool_similarities(list(chain(*h)), list(chain(*own)), pairing)
    rating = np.array([rating.rating for rating in ratings])[pair]
    queries = numbered([rating.query_id for rating in ratings])
    try:
        found = fit_logistic(similarity, rating, groups=queries[pair])
    except RelevanceError as error:
        raise RelevanceError(f"{root}: {error}") from error
    origin = (
        f"{len(ratings)} ratings of {queries.max() + 1} queries "
        f"(TAU Graded Relevances 2023, {' + '.join(splits)}), pairing {pairing}, {model}"
    )
    with replacing(figure_path) as path:
        draw(path, found, similarity, rating, origin.replace(", pairing", "\npairing"))
    with replacing(config_path) as path:
        path.write_text(config(found, model, origin), encoding="utf-8")
    print(f"{origin}\n{found}\n\n{table(found, similarity, rating)}\n")
    print("intervals are cluster-robust over queries")
    if found.squeezed:
        print(f"{found.squeezed} ratings are exactly 0 or 1, so all ratings were squeezed into (0, 1) for the fit")
    print(
        f"figure: {figure_path}\nconfig: {config_path}  (python train.py fit --config NAME.yaml --config {config_path})"
    )
