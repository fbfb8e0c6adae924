"""The tiny corpus, packed by the command."""

import hashlib
from pathlib import Path

from cli.__main__ import main
from datamodules.clotho import Clotho
from tests.support.corpus import Corpus

RATE = 8000


def packed(corpus: Corpus, folder: Path, *options: str) -> int:
    arguments = [str(folder), "--data", "Clotho", "--data.root", str(corpus.root), "--sample_rate", str(RATE)]
    return main(["pack", *arguments, "--workers", "1", "--shard_size", "4", *options])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def tables(corpus: Corpus, shards: Path | None) -> Clotho:
    data = Clotho(
        str(corpus.root),
        batch_size=2,
        max_seconds=0.5,
        sample_rate=RATE,
        packed=shards and str(shards),
        num_workers=0,
        seed=0,
    )
    for stage in ("fit", "test"):
        data.setup(stage)
    return data
