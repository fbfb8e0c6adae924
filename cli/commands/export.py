"""`audio-relevance export`: a finished model as a folder for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.command import Command


class Export(Command):
    """Write a model into a folder that needs nothing of the run."""

    name = "export"
    summary = "write a finished model into a folder that other programs load"
    description = """\
Write a finished model into a folder: safetensors weights, settings, tokenizer, a model card (data, metrics
beside chance, recipe), and the form that sentence-transformers 5.4 or newer loads. `load_run(FOLDER)` and
`SentenceTransformer(FOLDER, trust_remote_code=True)` give the same embeddings."""
    epilog = """\
example:
  $ audio-relevance export --run runs/demo_listnet/0 --output exported/demo
  exported: exported/demo (256 dimensions, 90 MB)"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--run", required=True, help="folder of a run, or a pretrained pair by hub name or local folder"
        )
        parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="new, or an earlier export")
        parser.add_argument("--licence", default="other", help="of the weights, such as cc-by-nc-4.0 (default: other)")
        parser.add_argument(
            "--onnx", action="store_true", help="write the encoders as ONNX too, where that is possible"
        )
        parser.add_argument("--push", metavar="OWNER/MODEL", help="upload the folder to the Hugging Face hub")

    def run(self, options: argparse.Namespace) -> None:
        """Export, and upload where that is wanted."""
        from cli.quiet import quiet
        from retrieval.export import check_repository, export, push, source_named

        quiet()
        if options.push:
            check_repository(options.push)  # before anything slow
        if options.onnx:
            from retrieval.onnx_export import load_onnx

            load_onnx()  # before anything slow
        source = source_named(options.run)
        export(source, options.output, options.push, options.licence)
        dim = source.model.embed_text(["a"]).shape[1]
        size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file()) / 1e6
        print(f"exported: {options.output} ({dim} dimensions, {size:.0f} MB)")
        if options.onnx:
            from retrieval.onnx_export import export_onnx

            for line in export_onnx(source.model, options.output):
                print(line)
        if options.push:
            print(f"pushed: {push(options.output, options.push)}")
