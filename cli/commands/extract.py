"""`audio-relevance extract`: an expert's features of a data set."""

from __future__ import annotations

import argparse

from cli.command import Command


class Extract(Command):
    """Extract an expert's features of a data set."""

    name = "extract"
    summary = "run an audio encoder over a data set and keep its frames as features"
    description = """\
Run an audio encoder (VGGish, VGGSoundResNet18, a Hugging Face model, any other) over all splits of a data
set, at its own rate, and keep its frames in a store. Train on it with `--data.experts.NAME FOLDER`: audio is
then neither looked for nor decoded. Recordings are cut after data.max_seconds. After a kill the same command
does the rest, and gives the same files; recordings that cannot be read are listed in FOLDER/failures.csv."""
    epilog = """\
example:
  $ audio-relevance extract --data Synthetic --data.root data/small --data.train_clips 40 \\
      --data.validation_clips 8 --data.test_clips 8 --expert VGGish --output features/small/vggish
  56 of 56 recordings extracted; train on them with --data.experts.vggish features/small/vggish"""
    interrupted = "interrupted; the same command continues"
    has_own_parser = True

    def run(self, options: argparse.Namespace) -> None:
        """Extract and report."""
        from pathlib import Path
        from typing import Literal

        import torch

        from cli.data_parser import MOST_WORKERS, built, check_range, data_parser
        from common.numbers import HIGHEST_SEED
        from datamodules.base import AudioCaptionDataModule
        from lightning_modules.audio_encoders import AudioEncoder
        from retrieval.extraction import Settings, extract

        parser = data_parser(self.name, self.description, self.epilog, AudioCaptionDataModule)
        parser.add_subclass_arguments(AudioEncoder, "expert", help="the audio encoder, as in a config", required=True)
        parser.add_argument("--output", type=Path, required=True, help="folder of the store")
        parser.add_argument("--name", type=str | None, default=None, help="of the expert (default: its class)")
        parser.add_argument("--batch_size", type=int, default=8, help="recordings that are computed at a time")
        parser.add_argument("--workers", type=int, default=1, help="processes")
        parser.add_argument("--dtype", type=Literal["float16", "float32"], default="float16", help="of the frames")
        parser.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help="for the encoder")
        parser.add_argument("--seed", type=int, default=0, help="of weights that are random")
        parsed = parser.parse_args(options.arguments)
        check_range(parser, parsed, "batch_size")
        check_range(parser, parsed, "workers", high=MOST_WORKERS)
        if not 0 <= parsed.seed <= HIGHEST_SEED:
            parser.error(f"seed is {parsed.seed}; give a whole number from 0 to {HIGHEST_SEED}")
        name = parsed.name or parsed.expert.class_path.rpartition(".")[2].lower()
        if not name.isidentifier():
            parser.error(f"name is {name!r}; give letters, digits and underscores")
        device = parsed.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device == "cuda" and not torch.cuda.is_available():
            parser.error("device is cuda, but there is none; leave it out")
        torch.manual_seed(parsed.seed)
        parts = built(parser, parsed)
        settings = Settings(name, parsed.batch_size, parts.data.max_seconds, parsed.dtype, device, parts.data.mix)
        output = parsed.output.expanduser()
        count, failures = extract(parts.data, parts.expert, output, settings, parsed.workers)
        total = count + len(failures)
        print(f"{count} of {total} recordings extracted; train on them with --data.experts.{name} {output}")
        for failed, error in failures[:10]:
            print(f"left out: {failed}: {error}")
        if failures:
            listed = output / "failures.csv"
            print(f"{len(failures)} could not be used: {listed}; get them again, delete {output} and extract again")
