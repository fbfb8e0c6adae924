"""The nearest captions of a data set: `python neighbours.py --data Clotho --data.root ROOT --query "a dog barks"`.

Prints, for each query or else for a few drawn captions, the captions nearest to it with similarity h, relevance g and
recording. With `--save FILE.npz` the neighbours of each training caption are written, and
`--data.related.neighbours FILE.npz` trains on batches with many partly relevant pairs. No audio is needed.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jsonargparse import Namespace  # type: ignore[attr-defined]

import cli.components  # noqa: F401  (so that --data can name them)
from cli.parser import OneLineParser
from common.errors import DataError, RelevanceError, UserError
from common.pretrained import find_model
from common.text import one_line
from datamodules.base import AudioCaptionDataModule
from datamodules.sampling.neighbours_file import read_neighbours, write_neighbours
from datamodules.sampling.pair_batches import epoch_batches
from datamodules.sampling.related_pairs import related_order
from relevance.caption_embeddings import model_fingerprint, sentence_bert_encoder
from relevance.caption_index import NPROBE, CaptionIndex, Neighbours
from relevance.targets.caption_similarity import CaptionSimilarity

Ints = npt.NDArray[np.int64]
DRAWN = 3  # captions shown where there is no query
GROUPS = (1, 2, 4, 8)
BATCHES_JUDGED = 200  # at least, where an epoch has as many


def main(arguments: list[str] | None = None) -> int:
    """Run the command; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    options = parse(arguments)
    try:
        run(options, options.data_module, options.similarity)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str] | None) -> Namespace:
    """The command line, with the data module and the relevance built."""
    parser = OneLineParser(prog="neighbours.py", description=__doc__, dump_header=None, allow_abbrev=False)
    parser.add_subclass_arguments(AudioCaptionDataModule, "data", help="the data set, as in a config", required=True)
    parser.add_class_arguments(CaptionSimilarity, "relevance")
    parser.add_argument("--sentence_bert", type=str | None, default=None, help="stands above relevance.model")
    parser.add_argument("--query", type=str, action="append", default=[], help="words to search; may be repeated")
    parser.add_argument("--split", default="train", help="train, validation or test: whose captions are searched")
    parser.add_argument("--k", type=int, default=20, help="captions found for each")
    parser.add_argument("--save", type=Path | None, default=None, help="where the neighbours go, a file FILE.npz")
    options = parser.parse_args(arguments)
    if options.k < 1:
        parser.error(f"k is {options.k}; give at least 1")
    if options.save is not None and options.save.suffix != ".npz":
        parser.error(f"save is {options.save}; give a name that ends in .npz")
    if options.save is not None and options.split != "train":
        parser.error(f"split is {options.split}, but neighbours are saved to train on; leave it out")
    if options.sentence_bert is not None:
        options.relevance.model = options.sentence_bert
    try:
        built = parser.instantiate(options)
    except ValueError as error:
        parser.error(str(error.__cause__ or error))  # jsonargparse wraps what a class refuses
    options.data_module, options.similarity = built.data, built.relevance
    return options


def run(options: Namespace, data: AudioCaptionDataModule, similarity: CaptionSimilarity) -> None:
    """Embed, search, print, and write."""
    if any(not query.strip() for query in options.query):
        raise RelevanceError("--query is empty; write some words")
    data.prepare_data()
    captions, audio = data.read_captions()
    ids = data.caption_ids(options.split)
    if not len(ids):
        raise DataError(f"{type(data).__name__} has no {options.split} captions; give another --split")
    index = CaptionIndex(similarity.embed(captions), audio, ids, progress=sys.stdout.isatty())
    names = data.read_names()
    if options.query:
        queries, found = options.query, index.of_embeddings(embed(options.query, similarity), options.k)
    else:
        drawn = np.sort(np.random.default_rng(0).choice(ids, min(DRAWN, len(ids)), replace=False))
        queries, found = [captions[i] for i in drawn], index.of_captions(drawn, options.k)
    for row, query in enumerate(queries):
        print_neighbours(query, Neighbours(found.ids[row], found.similarity[row]), captions, names, audio, similarity)
    if options.save is not None:
        all_found = index.of_captions(ids, options.k)
        facts = {
            "data": type(data).__name__,
            "split": options.split,
            "model": model_fingerprint(similarity.model, similarity.revision),
            "search": "exact" if index.exact else f"inverted file, nprobe {NPROBE}",
        }
        write_neighbours(options.save, captions, ids, all_found.ids, all_found.similarity, facts)
        print(f"{options.save}: {options.k} neighbours of each of {len(ids):,} captions ({facts['search']} search)")
        judge_groups(options.save, data, similarity)


def embed(queries: list[str], similarity: CaptionSimilarity) -> npt.NDArray[np.floating]:
    """Embeddings (Q, D) of words that are in no table."""
    model, revision = similarity.model, similarity.revision
    with sentence_bert_encoder(find_model(model, revision), revision, similarity.batch_size, None) as encode:
        return encode(queries)


def print_neighbours(
    query: str, found: Neighbours, captions: list[str], names: list[str], audio: Ints, similarity: CaptionSimilarity
) -> None:
    """Print the neighbours (k,) of one query, a line each."""
    g = similarity.scoring(torch.from_numpy(found.similarity)).tolist()
    print(f"{query}\n      h      g")
    for item, h, relevance in zip(found.ids.tolist(), found.similarity.tolist(), g, strict=True):
        if item >= 0:
            print(f"  {h:5.3f}  {relevance:5.3f}  {captions[item]}  [{names[audio[item]]}]")
    print()


def judge_groups(path: Path, data: AudioCaptionDataModule, similarity: CaptionSimilarity) -> None:
    """Print the mean relevance of two pairs of one training batch, by the size of groups (of 1: drawn at random)."""
    captions, audio = data.read_captions()
    ids = data.caption_ids("train")
    neighbours = read_neighbours(path, captions, ids)
    similarity.prepare(captions, audio)
    print(f"mean relevance g of two pairs in a batch of {data.batch_size}, and share of pairs with g above a half:")
    for group in (group for group in GROUPS if data.batch_size % group == 0):
        regroup = partial(
            related_order,
            neighbours=neighbours,
            audio_of_pair=audio[ids],
            group=group,
            unique_audio=data.unique_audio,
        )
        batches = epoch_batches(audio[ids], data.batch_size, 0, 0, unique_audio=data.unique_audio, regroup=regroup)
        batches = batches[:: max(1, len(batches) // BATCHES_JUDGED)]
        g = torch.stack([similarity(chosen, chosen) for chosen in torch.from_numpy(ids[batches])])  # (B, b, b)
        others = g[:, ~torch.eye(data.batch_size, dtype=torch.bool)]
        print(f"  groups of {group}: {others.mean():.3f}, {100 * (others > 0.5).float().mean():5.1f} %")


if __name__ == "__main__":
    sys.exit(main())
