"""The judge: `python compare.py runs/clotho_infonce runs/clotho_listnet` compares methods that were judged on one pool.

An argument is an experiment's folder, with all its seeds, or one run's, such as runs/clotho_listnet/0. Printed are the
table of means and standard deviations over the runs, and for each pair of methods the paper's paired t-test over
queries, the same over recordings (the captions of one recording are no independent queries), sign-flip permutation
tests, Holm's correction, and what of the doubt is the seeds'. Differences are those of the later argument minus the
earlier one, so name the baseline first. Nothing is written unless --output is given.
"""

import argparse
import sys
from pathlib import Path

from common.errors import RelevanceError, RunError
from experiments.comparison.paired_tests import compare_experiments, metrics_to_test, shown_metrics
from experiments.comparison.report import print_comparison, write_comparison
from experiments.results.experiment import read_experiments


def main(arguments: list[str] | None = None) -> int:
    """Compare; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", type=Path)
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="default: test")
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=[],
        metavar="METRIC",
        help="tested besides text_to_audio/mAP@10 and shown besides the usual ones: R@1 for both directions, "
        "audio_to_text/R@1 for one",
    )
    parser.add_argument(
        "--intersect", action="store_true", help="judge all runs anew, on the recordings that all were judged on"
    )
    parser.add_argument("--permutations", type=int, default=10_000, metavar="N", help="sign flips; default: 10000")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write table.md, table.tex, comparison.png, and unrounded, as fractions of 1, table.csv and tests.csv",
    )
    options = parser.parse_args(arguments)
    try:
        if options.output and options.output.exists() and not options.output.is_dir():
            raise RunError(f"{options.output}: is a file; give --output a folder")
        experiments = read_experiments(options.folders, options.split, intersect=options.intersect)
        asked = metrics_to_test(experiments, options.metrics)
        tests = compare_experiments(experiments, asked, options.permutations)
        shown = shown_metrics(experiments, asked)
        print_comparison(experiments, shown, tests, options.split, intersected=options.intersect)
        if options.output:
            write_comparison(options.output, experiments, shown, tests, options.split)
    except (RunError, RelevanceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
