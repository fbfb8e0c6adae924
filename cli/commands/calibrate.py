"""Fit the logistic scoring function to people's ratings: `python calibrate.py --ratings ROOT --out FOLDER`.

Prints the two constants beside those of Xie et al. 2024, and leaves a figure and a config to train with.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path
from typing import NoReturn, get_args

import numpy as np
import yaml

from common.atomic_files import replacing
from common.errors import RunError, UserError
from common.text import one_line
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


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error in one line and leave with exit code 1."""
        self.exit(1, f"error: {message}\n")


def parse(args: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--ratings", type=Path, required=True, help="Folder of TAU Graded Relevances 2023.")
    splits = ["development", "validation"]  # both: their ratings together come nearest to the paper's constants
    add("--split", nargs="+", default=splits, help="Which ratings, taken together; default: development validation.")
    add(
        "--model",
        default="sentence-transformers/all-mpnet-base-v2",
        help="Hub name, folder or package:NAME/FOLDER.",
    )
    add("--pairing", default="all", choices=get_args(Pairing), help="How several captions of a clip make one h.")
    add("--out", type=Path, default=Path("runs/calibration"), help="Folder for calibration.yaml and .png.")
    return parser.parse_args(args)


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


def calibrate(options: argparse.Namespace) -> None:
    """Read, fit, print and write."""
    figure_path, config_path = options.out / "calibration.png", options.out / "calibration.yaml"
    try:  # before the slow work
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {options.out}: cannot be made a folder ({error.strerror}); give another") from error
    splits = list(dict.fromkeys(options.split))
    parts = [read_tau_ratings(options.ratings, split) for split in splits]
    h, own = zip(*(similarities(part, options.model) for part in parts), strict=True)  # by split, as the cache is
    ratings = list(chain(*parts))
    similarity, pair = pool_similarities(list(chain(*h)), list(chain(*own)), options.pairing)
    rating = np.array([rating.rating for rating in ratings])[pair]
    queries = numbered([rating.query_id for rating in ratings])
    found = fit_logistic(similarity, rating, groups=queries[pair])
    origin = (
        f"{len(ratings)} ratings of {queries.max() + 1} queries "
        f"(TAU Graded Relevances 2023, {' + '.join(splits)}), pairing {options.pairing}, {options.model}"
    )
    try:
        with replacing(figure_path) as path:
            draw(path, found, similarity, rating, origin.replace(", pairing", "\npairing"))
        with replacing(config_path) as path:
            path.write_text(config(found, options.model, origin), encoding="utf-8")
    except OSError as error:
        raise RunError(f"{options.out}: cannot be written to ({error.strerror}); give another --out") from error
    print(f"{origin}\n{found}\n\n{table(found, similarity, rating)}\n")
    print("intervals are cluster-robust over queries")
    print(
        f"figure: {figure_path}\nconfig: {config_path}  (python train.py fit --config NAME.yaml --config {config_path})"
    )


def main(args: list[str] | None = None) -> int:
    """Run the command; a mistake of the user's ends in one line on stderr and exit code 1."""
    try:
        calibrate(parse(args))
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
