"""`audio-relevance twins`: does a model tell a caption from one with another order, attribute or negation?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command

if TYPE_CHECKING:
    from datamodules.twins.twin_set import CaptionVariants
    from experiments.analyses.twins import Row
    from retrieval.finished_model import FinishedModel
    from retrieval.twins import Vectors

NEEDED = {"synthetic": (0, 0), "dtu": (2, 99), "compa": (1, 1), "counterfactual": (1, 1), "perturbed": (0, 1)}
"""How many files each set takes, at least and at most."""


class Twins(Command):
    """Score twin sets."""

    name = "twins"
    summary = "test whether finished models use order, attributes, number, overlap and negation"
    description = """\
Score captions beside twins that differ in one property, and print how often the right one scores higher, with a
95 % interval and what chance gives. A tie counts half; CompA's own scores are strict. Several models stand side
by side.

  synthetic       rendered here: order, attribute, count and overlap of sounds, with two references: a scorer that
                  knows the scenes, and one that knows all words without their order
  dtu             --files ORIGINAL.json CHANGED.json ...: also R@k before and after the change
  compa           --files PAIRS.csv
  counterfactual  --files CAPTIONS.json
  perturbed       captions changed by rule: of the run's own test, or of --files CAPTIONS.csv in Clotho's layout"""
    epilog = """\
example:
  $ audio-relevance twins runs/demo_infonce/0 --set synthetic
  synthetic twins, in %
  ┏━━━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━┳━━━━━┓
  ┃ twins     ┃ measure     ┃ model               ┃ share ┃ 95 % interval ┃ chance ┃  ties ┃   n ┃
  ┡━━━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━╇━━━━━┩
  │ order     │ text        │ oracle              │ 100.0 │ 96.3 to 100.0 │   50.0 │   0.0 │ 200 │
  │           │             │ bag of words        │  50.0 │  40.4 to 59.6 │   50.0 │ 100.0 │ 200 │
  │           │             │ runs/demo_infonce/0 │  49.5 │  42.6 to 56.4 │   50.0 │   0.0 │ 200 │
  ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "runs",
            nargs="+",
            metavar="RUN",
            help="folder of a run, a folder that `export` wrote, or a pretrained pair by folder or hub name",
        )
        parser.add_argument("--set", required=True, choices=tuple(NEEDED), dest="kind", help="which twins")
        parser.add_argument("--files", nargs="+", type=Path, default=[], metavar="FILE", help="of a published set")
        parser.add_argument("--audio", type=Path, metavar="FOLDER", help="the recordings of --files, at any depth")
        parser.add_argument("--pairs", type=int, default=100, help="of each synthetic property (default: 100)")
        parser.add_argument("--seed", type=int, default=0, help="of synthetic and perturbed twins (default: 0)")
        parser.add_argument(
            "--keep", type=Path, metavar="FOLDER", help="also write the synthetic pairs: wav and csv; a new folder"
        )
        parser.add_argument("--output", type=Path, metavar="FOLDER", help="write twins.csv and twins.png")

    def run(self, options: argparse.Namespace) -> None:
        """Read or render the twins, score, print and write."""
        check_options(options)

        from cli.quiet import quiet
        from common.atomic_files import check_writable
        from experiments.analyses.twins import FILES, print_twins, write_twins

        quiet()
        if options.output:
            check_writable(*(options.output / name for name in FILES))
        score = {"synthetic": synthetic_rows, "perturbed": variant_rows, "dtu": variant_rows}.get(
            options.kind, pair_rows
        )
        rows = score(options)
        title = f"{options.kind} twins: " + ", ".join(file.name for file in options.files)
        print_twins(rows, title.rstrip(": ") + ", in %")
        if options.output:
            write_twins(options.output, rows, title.rstrip(": "))
            print(f"files: {options.output}/twins.csv, {options.output}/twins.png")


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    least, most = NEEDED[options.kind]
    count = len(options.files)
    if not least <= count <= most:
        wanted = "no --files" if not most else f"--files with {least} or more" if most > 1 else "one file by --files"
        options.refuse(f"--set {options.kind} takes {wanted}, not {count}")
    if bool(options.files) != (options.audio is not None):
        options.refuse("--files and --audio go together: give the annotations, and the folder of their recordings")
    if options.keep and options.kind != "synthetic":
        options.refuse("--keep writes synthetic twins: give --set synthetic")


def loaded(options: argparse.Namespace) -> dict[str, FinishedModel]:
    """The models by name; after what else may be wrong was read."""
    from retrieval.open_model import check_named_once, load_run

    check_named_once(options.runs)
    return {name: load_run(name) for name in options.runs}


def synthetic_rows(options: argparse.Namespace) -> list[Row]:
    """Of the references and the models, on each property."""
    from datamodules.twins.synthetic import PROPERTIES, draw_pairs, rendered, write_pairs
    from evaluation.analyses.twins import compa, told_apart
    from experiments.analyses.twins import Row
    from retrieval.twin_references import REFERENCES
    from retrieval.twins import shares_of_twins

    rows = []
    drawn = {name: draw_pairs(name, options.pairs, options.seed) for name in PROPERTIES}
    models = loaded(options)
    if options.keep:
        write_pairs(options.keep, drawn)
    for name, pairs in drawn.items():
        for reference, scored in REFERENCES.items():
            scores = scored(pairs)
            rows += [Row(name, reference, share) for share in told_apart(scores) + compa(scores)]
        twins = rendered(name, pairs)
        for run, model in models.items():
            rows += [Row(name, run, share) for share in shares_of_twins(model, twins)]
    return rows


def pair_rows(options: argparse.Namespace) -> list[Row]:
    """Of the models, on a published set of captions and their twins."""
    from datamodules.twins.compa import read_compa
    from datamodules.twins.counterfactual import read_counterfactual
    from experiments.analyses.twins import Row
    from retrieval.twins import shares_of_twins

    read = read_compa if options.kind == "compa" else read_counterfactual
    twins = read(options.files[0], options.audio)
    if twins.left_out:
        print(f"captions without a twin, which are left out: {twins.left_out:,}")
    models = loaded(options)
    return [Row(twins.name, run, share) for run, model in models.items() for share in shares_of_twins(model, twins)]


def variant_rows(options: argparse.Namespace) -> list[Row]:
    """Of the models, on captions in several forms."""
    from datamodules.twins.dtu import read_dtu
    from experiments.analyses.twins import Row
    from retrieval.twins import captions_in_file, same_captions, shares_of_variants, tested_captions

    if options.kind == "dtu":
        shared = read_dtu(options.files[0], options.files[1:], options.audio)
    elif options.files:
        shared = captions_in_file(options.files[0], options.audio, options.seed)
    models = loaded(options)
    sets: list[tuple[CaptionVariants, Vectors | None]]
    if options.files:
        sets = [(shared, None)] * len(models)
    else:
        sets = [tested_captions(run, model, options.seed) for run, model in models.items()]
        same_captions([variants for variants, _ in sets], list(models))
    changed = {twins.name: len(twins.twins) for twins in sets[0][0].twin_sets()}
    for name in sets[0][0].variants:
        print(f"{name}: {changed.get(name, 0):,} of {len(sets[0][0].captions):,} captions are changed")
    return [
        Row(name, run, share)
        for (run, model), (variants, audio) in zip(models.items(), sets, strict=True)
        for name, shares in shares_of_variants(model, variants, audio).items()
        for share in shares
    ]
