"""The captions of a data set that learned relevance takes to be nearest to a query, or to each other."""

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from common.atomic_files import check_writable
from common.errors import DataError, RelevanceError
from common.pretrained import find_model
from common.text import query_fault
from datamodules.base import AudioCaptionDataModule
from datamodules.sampling.neighbours_file import read_neighbours, write_neighbours
from datamodules.sampling.pair_batches import epoch_batches
from datamodules.sampling.related_pairs import related_order
from relevance.caption_embeddings import model_fingerprint, sentence_bert_encoder
from relevance.caption_index import NPROBE, CaptionIndex, Neighbours
from relevance.targets.caption_similarity import CaptionSimilarity

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
DRAWN = 3  # captions shown where there is no query
GROUPS = (1, 2, 4, 8)
BATCHES_READ = 200  # at least, where an epoch has as many


def show_neighbours(
    data: AudioCaptionDataModule,
    similarity: CaptionSimilarity,
    *,
    queries: Sequence[str] = (),
    split: str = "train",
    k: int = 20,
    save: Path | None = None,
) -> None:
    """Print the k captions nearest to each query, or to a few drawn captions; write those of all training captions.

    Args:
        data: the data set; its audio is not needed.
        similarity: how similar two captions are, and how relevant they are to each other.
        queries: words to search for; none: captions are drawn.
        split: "train", "validation" or "test": whose captions are searched.
        k: captions found for each.
        save: the file of all training captions' neighbours; None: it is not written.

    Raises:
        RelevanceError: a query is empty, or not UTF-8.
        DataError: the split has no captions, or the file cannot be written.
    """
    if fault := next(filter(None, map(query_fault, queries)), None):
        raise RelevanceError(f"--query {fault}; write some words")
    if save is not None:
        check_writable(save)
    data.prepare_data()
    captions, audio = data.read_captions()
    ids = data.caption_ids(split)
    if not len(ids):
        raise DataError(f"{type(data).__name__} has no {split} captions; give another --split")
    index = CaptionIndex(similarity.embed(captions), audio, ids, progress=sys.stdout.isatty())
    names = data.read_names()
    if queries:
        found = index.of_embeddings(embed(list(queries), similarity), k)
    else:
        drawn = np.sort(np.random.default_rng(0).choice(ids, min(DRAWN, len(ids)), replace=False))
        queries, found = [captions[i] for i in drawn], index.of_captions(drawn, k)
    for row, query in enumerate(queries):
        print_neighbours(query, Neighbours(found.ids[row], found.similarity[row]), captions, names, audio, similarity)
    if save is not None:
        all_found = index.of_captions(ids, k)
        facts = {
            "data": type(data).__name__,
            "split": split,
            "model": model_fingerprint(similarity.model, similarity.revision),
            "search": "exact" if index.exact else f"inverted file, nprobe {NPROBE}",
        }
        write_neighbours(save, captions, ids, all_found.ids, all_found.similarity, facts)
        most = int((all_found.ids >= 0).sum(1).max())  # fewer than k in a small data set
        print(f"{save}: {most} neighbours of each of {len(ids):,} captions ({facts['search']} search)")
        try:
            print_groups(save, data, similarity)
        except DataError as error:  # the file is whole, and good for smaller batches
            log.warning("%s: relevance in batches is not shown: %s", save, error)


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


def print_groups(path: Path, data: AudioCaptionDataModule, similarity: CaptionSimilarity) -> None:
    """Print the mean relevance of two pairs of one training batch, by the size of groups (of 1: drawn at random)."""
    captions, audio = data.read_captions()
    ids = data.caption_ids("train")
    neighbours = read_neighbours(path, captions, ids)
    similarity.prepare(captions, audio)
    title = f"mean relevance g of two pairs in a batch of {data.batch_size}, and share of pairs with g above a half:"
    for group in (group for group in GROUPS if data.batch_size % group == 0):
        regroup = partial(
            related_order,
            neighbours=neighbours,
            audio_of_pair=audio[ids],
            group=group,
            unique_audio=data.unique_audio,
        )
        batches = epoch_batches(audio[ids], data.batch_size, 0, 0, unique_audio=data.unique_audio, regroup=regroup)
        batches = batches[:: max(1, len(batches) // BATCHES_READ)]
        g = torch.stack([similarity(chosen, chosen) for chosen in torch.from_numpy(ids[batches])])  # (B, b, b)
        others = g[:, ~torch.eye(data.batch_size, dtype=torch.bool)]
        if group == GROUPS[0]:
            print(title)
        print(f"  groups of {group}: {others.mean():.3f}, {100 * (others > 0.5).float().mean():5.1f} %")
