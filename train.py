"""The door: `python train.py {fit,validate,test,predict} --config NAME.yaml`."""

import logging
import sys
import warnings

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from transformers.utils import logging as transformers_logging

from cli.config_files import configs_first
from cli.lightning_cli import RetrievalCLI
from common.errors import UserError
from common.text import one_line, refused_by_system
from datamodules.killed_workers import explain_killed_worker

NOISE = (
    ".*does not have many workers.*",
    ".*LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*in eval mode at the start of training.*",  # frozen encoders are meant to be
    ".*recommended to use .*sync_dist=True.*",  # metrics are computed on the gathered pool: the same on every rank
)


def main(args: list[str] | None = None) -> int:
    """Run a command; a mistake of the user's ends in one line on stderr and exit code 1 (2 on the command line)."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # tensors missing from a checkpoint are refused by the encoders
    if args is None:
        sys.argv[1:] = configs_first(sys.argv[1:])  # in place: processes of other ranks are started with it
    try:
        RetrievalCLI(None if args is None else configs_first(args))
    except (UserError, MisconfigurationException) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {refused_by_system(error)}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        message = explain_killed_worker(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 1
    except SIGTERMException:
        return 143  # as a shell counts a process that SIGTERM ended
    return 0


if __name__ == "__main__":
    sys.exit(main())
