"""`audio-relevance submit`: the files of a submission to DCASE's task of language-based audio retrieval."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command

if TYPE_CHECKING:
    from retrieval.dcase.submission import Submitted

YEARS = (2022, 2023, 2024, 2025)


class Submit(Command):
    """Write or check a submission."""

    name = "submit"
    summary = "write and check the files of a DCASE submission, with one run or several"
    description = """\
Embed a folder of recordings and a file of queries with one or more finished models, fuse their scores by a
weighted mean, and write the year's output csv and meta yaml. The csv is read again and checked: every query
once, names of the folder, no repeats, the year's columns, finite scores. Where the query file says which
recordings are right (Clotho's layout, or lists of DCASE 2025), the submission scores itself. With --check an
existing file is checked, without a model. Recordings longer than the run's data.max_seconds are cut from
their beginning, as in `test`."""
    epilog = """\
example:
  $ audio-relevance submit --run runs/demo_infonce/0 runs/demo_listnet/0 --year 2025 \\
      --queries data/synthetic/clotho_csv_files/clotho_captions_evaluation.csv \\
      --audio data/synthetic/clotho_audio_files/evaluation --label Surname_Institute_task6_1 --output submissions
  checked: submissions/Surname_Institute_task6_1/Surname_Institute_task6_1.output.csv (2025: 1500 queries, ...)
  scored on 1500 of 1500 queries, text to audio:
    mAP@16   47.82 %   chance 1.13 %
    mAP@10   47.36 %   chance 0.98 %
    R@1      30.60 %   chance 0.33 %
  ..."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--run", nargs="+", default=[], metavar="RUN", help="folder of a run or of an export, or a pretrained pair"
        )
        parser.add_argument(
            "--queries",
            required=True,
            type=Path,
            metavar="FILE",
            help="csv with a column `caption`, captions in Clotho's layout, or lists of DCASE 2025",
        )
        parser.add_argument("--audio", required=True, type=Path, metavar="FOLDER", help="the recordings to rank")
        parser.add_argument("--year", required=True, type=int, choices=YEARS, help="of the challenge")
        parser.add_argument("--label", metavar="LABEL", help="of the submission, as in Surname_Institute_task6_1")
        parser.add_argument("--output", type=Path, metavar="FOLDER", help="where FOLDER/LABEL/ is written")
        parser.add_argument(
            "--weights",
            nargs="+",
            default=["equal"],
            metavar="WEIGHT",
            help="equal (default), a number for each run, or validation: searched on the runs' validation split",
        )
        parser.add_argument("--template", type=Path, metavar="FILE", help="the year's own meta.yaml, to be filled in")
        parser.add_argument("--check", type=Path, metavar="FILE", help="check this output csv, and write nothing")

    def run(self, options: argparse.Namespace) -> None:
        """Write or check, and report."""
        if options.check is None and not (options.run and options.label and options.output):
            options.refuse("give --run, --label and --output to write a submission, or --check to check a file")
        if options.check is not None and (options.run or options.label or options.output or options.template):
            options.refuse("--check goes without --run, --label, --output and --template: it writes nothing")

        from cli.quiet import quiet
        from retrieval.dcase.forms import FORMS, check_label
        from retrieval.dcase.submission import check, submit

        quiet()
        form = FORMS[options.year]
        if options.check is not None:
            report(check(options.check, options.queries, options.audio, form), options.year)
            return
        check_label(options.label)
        submitted = submit(
            options.run,
            options.queries,
            options.audio,
            form,
            options.label,
            options.output,
            weights=options.weights,
            template=options.template,
        )
        report(submitted, options.year, options.run)


def report(submitted: Submitted, year: int, runs: list[str] | None = None) -> None:
    """Print what was checked, the scores, and what is left to do by hand."""
    print(f"checked: {submitted.output} ({year}: {submitted.queries} queries, {submitted.clips} recordings)")
    if submitted.scored:
        print(f"scored on {submitted.scored_queries} of {submitted.queries} queries, text to audio:")
    for name, (value, chance) in submitted.scored.items():
        print(f"  {name:<8}{100 * value:6.2f} %   chance {100 * chance:.2f} %")
    if submitted.weights is not None and runs is not None and len(runs) > 1:
        shown = ", ".join(f"{weight:.3g} {run}" for weight, run in zip(submitted.weights.values, runs, strict=True))
        print(f"weights: {shown} ({submitted.weights.source})")
    if submitted.cut:
        print(submitted.cut)
    if submitted.nulls:
        meta = submitted.output.name.replace("output.csv", "meta.yaml")
        print(f"left null in {meta}, fill in by hand: {', '.join(submitted.nulls)}")
