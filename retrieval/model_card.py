"""The model card of an exported model: what it is, how to use it, data, metrics beside chance, recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from common.errors import RunError
from evaluation.evaluator import Evaluation, evaluate
from experiments.provenance import read_provenance
from experiments.results.metrics_table import NOTE, shown_value
from experiments.results.pool_file import read_pool
from experiments.run_folder import RunFolder

CODE = "https://doi.org/10.1109/LSP.2024.3511414"
LOCAL = ("root", "packed", "shards", "num_workers")
"""Options of data that are of one machine."""

USE = """\
```python
from retrieval import load_run                       # the package audio-relevance

model = load_run("{name}")
audio = model.encode_audio(["dog.wav", "rain.flac"])  # (2, {dim})
text = model.encode_text(["a dog barks"])             # (1, {dim})
model.similarity(text, audio)                         # (1, 2)
```

With sentence-transformers 5.4 or newer, in an environment that has audio-relevance installed (its code runs the model,
hence `trust_remote_code`):

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}", trust_remote_code=True)
model.encode(["a dog barks"])
model.encode([{{"array": samples, "sampling_rate": {rate}}}])
```
"""

CITATION = """\
```bibtex
@article{xie2024text,
  title   = {Text-based audio retrieval by learning from similarities between audio captions},
  author  = {Xie, Huang and Khorrami, Khazar and R{\\"a}s{\\"a}nen, Okko and Virtanen, Tuomas},
  journal = {IEEE Signal Processing Letters},
  year    = {2024},
  doi     = {10.1109/LSP.2024.3511414}
}
```
"""


def card_of(
    name: str,
    *,
    dim: int,
    sample_rate: int,
    licence: str,
    trained_on: list[str],
    config: Mapping[str, Any],
    folder: RunFolder | None,
) -> str:
    """The card in Markdown.

    Args:
        name: of the model, as a reader loads it.
        dim: size of its embeddings.
        sample_rate: in Hz.
        licence: of the weights, a hub's identifier such as "cc-by-nc-4.0".
        trained_on: data sets and sources of a pretrained pair.
        config: the run's settings, or those of the model alone.
        folder: of the run; None for a pretrained pair as it is.
    """
    facts = read_provenance(folder.path / "provenance.json") if folder is not None else {}
    data = [part for stage in ("fit", "test") for part in facts.get(stage, {}).get("data", {}).items()]
    front = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "feature-extraction",
        "tags": ["audio-text-retrieval", "audio", "sentence-transformers", "audio-relevance"],
        "language": "en",
        "license": licence,
        "trained_on": trained_on,
    }
    sections = {
        "Use": USE.format(name=name, dim=dim, rate=sample_rate),
        "Data": _data(config, dict(data), trained_on),
        "Metrics": _metrics(folder),
        "Recipe": f"```yaml\n{yaml.safe_dump(recipe(config), sort_keys=False)}```\n",
        "Licence": f"Weights: {licence}. The code is under the MIT licence; data sets and pretrained models keep their "
        "owners' licences.\n",
        "Citation": CITATION,
    }
    body = "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    what = "A dual encoder for language-based audio retrieval: captions and recordings in one space.\n"
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# {name.rpartition('/')[2]}\n\n{what}\n{body}"


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make the model, without those of one machine."""
    kept = {key: config[key] for key in ("seed_everything", "model", "data") if key in config}
    if arguments := (kept.get("data") or {}).get("init_args"):
        shared = {key: value for key, value in arguments.items() if key not in LOCAL}
        kept["data"] = {**kept["data"], "init_args": shared}
    trainer = config.get("trainer") or {}
    chosen = {key: trainer[key] for key in ("max_epochs", "precision", "accumulate_grad_batches") if key in trainer}
    return {**kept, "trainer": chosen} if chosen else kept


def _data(config: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]], trained_on: list[str]) -> str:
    lines = []
    if trained_on:
        lines.append(f"Pretrained on: {', '.join(trained_on)}.\n")
    if splits:
        name = str((config.get("data") or {}).get("class_path", "")).rpartition(".")[2]
        lines.append(f"{name}; the hashes are of ids and file names, and of captions.\n")
        lines.append("| split | recordings | captions | sha256 | of captions |\n| --- | ---: | ---: | --- | --- |")
        for split, manifest in splits.items():
            hashes = " | ".join(f"`{manifest.get(key, '')[:16]}`" for key in ("sha256", "captions_sha256"))
            lines.append(f"| {split} | {manifest['clips']} | {manifest['captions']} | {hashes} |")
    return "\n".join(lines) + "\n" if lines else "Not known.\n"


def _metrics(folder: RunFolder | None) -> str:
    path = folder.pool("test") if folder is not None else Path("none")
    try:
        pool = read_pool(path)
    except RunError:
        return "Not tested.\n"
    return f"{markdown_table(evaluate('test', pool))}\n\n{NOTE}\n"


def markdown_table(evaluation: Evaluation) -> str:
    """All metrics of both directions beside chance, in Markdown."""
    columns = {side: (ranking.summary(), ranking.chance()) for side, ranking in evaluation.rankings.items()}
    head = [
        f"{side.replace('_', ' ')} ({values['queries']:.0f} in {values['items']:.0f}) | chance"
        for side, (values, _) in columns.items()
    ]
    metrics = [name for name in next(iter(columns.values()))[0] if name not in ("queries", "items", "tie_rate")]
    rows = [
        f"| {metric} | " + " | ".join(shown_value(metric, side[metric]) for pair in columns.values() for side in pair)
        for metric in metrics
    ]
    return "\n".join([f"| test | {' | '.join(head)} |", "| --- |" + " ---: |" * 4, *(f"{row} |" for row in rows)])
