"""`audio-relevance sweep`: many runs from one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.command import Command

if TYPE_CHECKING:
    from experiments.sweeps.sweep_file import SweepFile


class Sweep(Command):
    """Run the trials of a sweep."""

    name = "sweep"
    summary = "run the trials of a sweep file with Optuna, resumable, by one worker or several"
    description = """\
Run a sweep: a file in W&B's sweep form, also by its name in configs/sweeps/. After a kill the same command
does the rest. Started several times, on one machine or on several that share --storage, the workers divide
the trials. What follows `--` goes to train.py in every trial."""
    epilog = """\
example:
  $ audio-relevance sweep demo_methods -- --trainer.max_epochs 1 --data.root data/tiny \\
      --data.train_clips 40 --data.validation_clips 10 --data.test_clips 20
  trial 0 of 10: config=demo_infonce.yaml, seed_everything=0
    val/text_to_audio/mAP@10 0.3762
  trial 1 of 10: config=demo_infonce.yaml, seed_everything=1
    val/text_to_audio/mAP@10 0.3194
  ...
  over seeds
  ┏━━━━━━━━━━━━━━━━━━━┳━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━┓
  ┃ config            ┃ runs ┃ mean val/text_to_audio/mAP@10 ┃     sd ┃
  ┡━━━━━━━━━━━━━━━━━━━╇━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━┩
  │ demo_listnet.yaml │    5 │                        0.3878 │ 0.0644 │
  │ demo_infonce.yaml │    5 │                        0.3699 │ 0.0331 │
  └───────────────────┴──────┴───────────────────────────────┴────────┘
  table: runs/sweeps/demo_methods/trials.csv
  figure: runs/sweeps/demo_methods/figure.png"""
    interrupted = "interrupted; the same command continues"
    has_rest = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", metavar="FILE", help="sweep file, or the name of one in configs/sweeps/")
        parser.add_argument("--name", help="of the sweep; default: the file's")
        parser.add_argument("--folder", type=Path, default=Path("runs/sweeps"), help="where results and logs go")
        parser.add_argument("--storage", help="URL of an Optuna storage; default: sqlite, in the sweep's folder")
        parser.add_argument("--retry-failed", action="store_true", help="run trials that failed again")

    def run(self, options: argparse.Namespace) -> int:
        """Run trials until none is left; 1 where one failed."""
        sweep = sweep_with_program(options.file, options.name)

        from functools import partial

        from cli.dry_run import planned_run
        from cli.sweep_checks import check_folders, check_trials, trial_arguments
        from experiments.run_folder import check_name
        from experiments.sweeps.forked_program import preload
        from experiments.sweeps.storage import SQLITE, has_begun
        from experiments.sweeps.trials import Trials
        from experiments.sweeps.worker import report, work

        check_name(sweep.name, "the sweep's name")
        check_trials(sweep, options.rest)
        folder = options.folder / sweep.name
        storage = options.storage or f"{SQLITE}{folder / 'study.db'}"
        if not has_begun(sweep.name, storage):  # else the runs are the sweep's own
            check_folders(sweep, options.rest)
        trials = Trials(sweep, storage, folder, options.rest)
        if options.retry_failed:
            trials.retry_failed()
        preload(["cli.lightning_cli", "cli.components", "matplotlib.backends.backend_agg"])
        work(sweep, trials, folder, partial(trial_arguments, sweep, extra=options.rest), planned_run)
        return int(report(sweep, trials, folder))


def sweep_with_program(name: str, called: str | None) -> SweepFile:
    """The sweep of a file, with the path of its program: beside the file, or else this project's.

    Args:
        name: of the file, or of one in configs/sweeps/.
        called: what the sweep is called; None: as the file says.

    Raises:
        RunError: the file or the program is not there, or the file cannot be used.
    """
    from dataclasses import replace

    from cli.config_files import ROOT, find_sweep
    from common.errors import RunError
    from experiments.sweeps.sweep_file import read_sweep

    file = find_sweep(name)
    sweep = read_sweep(file, called)
    beside = file.parent / sweep.program
    program = beside if beside.is_file() else ROOT / sweep.program
    if not program.is_file():
        raise RunError(f"{file}: program is {sweep.program}: no such file beside it; give train.py")
    return replace(sweep, program=str(program))
