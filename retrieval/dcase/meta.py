"""The meta file of a submission: what the runs know is filled in, the rest is left null."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from common.errors import DataError
from common.text import one_line
from common.unique_keys import parse_yaml
from retrieval.dcase.systems import System

TEMPLATE: dict[str, Any] = {
    "submission": {
        "label": None,
        "name": None,
        "abbreviation": None,
        "authors": [
            {
                "lastname": None,
                "firstname": None,
                "email": None,
                "corresponding": True,
                "affiliation": {"abbreviation": None, "institute": None, "department": None, "location": None},
            }
        ],
    },
    "system": {
        "description": {
            "input_sampling_rate": None,
            "acoustic_features": None,
            "text_embeddings": None,
            "audio_augmentation": None,
            "text_augmentation": None,
            "learning_scheme": None,
            "ensemble": None,
            "metric_monitored": None,
        },
        "complexity": {"total_parameters": None},
        "external_datasets": None,
        "source_code": None,
    },
    "results": {"development_testing": {"R@1": None, "R@5": None, "R@10": None, "mAP@10": None}},
}
"""Of no year in particular: field names change, so give the year's own file."""


def meta_of(label: str, systems: Sequence[System], results: Mapping[str, float]) -> dict[str, Any]:
    """What is known of a submission, in the places of `TEMPLATE`."""
    rates = {system.model.sample_rate for system in systems}
    data = [name for system in systems for name in data_sets(system.config.get("data"))]
    objectives = [type(system.model.objective).__name__ for system in systems if system.config]
    monitored = [(system.config.get("run") or {}).get("monitor") for system in systems if system.config]
    external = [name for name in dict.fromkeys(data) if name != "Clotho"]
    return {
        "submission": {"label": label},
        "system": {
            "description": {
                "input_sampling_rate": ", ".join(f"{rate / 1000:g} kHz" for rate in sorted(rates)),
                "learning_scheme": ", ".join(dict.fromkeys(objectives)) or None,
                "ensemble": len(systems),
                "metric_monitored": ", ".join(dict.fromkeys(filter(None, monitored))) or None,
            },
            "complexity": {"total_parameters": sum(system.parameters for system in systems)},
            "external_datasets": [
                {"name": name, "purpose": None, "url": None, "total_audio_length": None} for name in external
            ]
            or None,
        },
        "results": {"development_testing": {name: round(value, 6) for name, value in results.items()}},
    }


def data_sets(settings: Any) -> Iterator[str]:
    """Class names of the data sets in the data part of a config, those inside a mixture in place of it."""
    if isinstance(settings, list):
        for each in settings:
            yield from data_sets(each)
    elif isinstance(settings, dict) and settings.get("class_path"):
        inside = [name for value in (settings.get("init_args") or {}).values() for name in data_sets(value)]
        yield from inside or [str(settings["class_path"]).rpartition(".")[2]]


def read_template(path: Path | None, metric: str) -> dict[str, Any]:
    """A year's own meta file, or `TEMPLATE` with the metric that ranks systems in that year.

    Raises:
        DataError: it cannot be read, or is no table.
    """
    if path is None:
        return {
            **TEMPLATE,
            "results": {"development_testing": {**TEMPLATE["results"]["development_testing"], metric: None}},
        }
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as YAML ({one_line(error)[:200]}); give the year's meta file"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: is no table of settings; give the year's meta file")
    return content


def filled(template: Any, known: Any) -> Any:
    """A template with what is known in place of its nulls; what it says itself stays, and it gets no new key.

    >>> filled({"label": None, "system": {"name": "ours", "size": None}}, {"label": "x", "system": {"name": "theirs"}})
    {'label': 'x', 'system': {'name': 'ours', 'size': None}}
    """
    if isinstance(template, dict):
        inside = known if isinstance(known, dict) else {}
        return {key: filled(value, inside.get(key)) for key, value in template.items()}
    return known if template is None else template


def nulls(content: Any, path: str = "") -> list[str]:
    """Where a table holds nothing, as dotted paths.

    >>> nulls({"a": None, "b": [{"c": None}, 1]})
    ['a', 'b.0.c']
    """
    if content is None:
        return [path]
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [found for key, value in items for found in nulls(value, f"{path}.{key}" if path else str(key))]


def as_yaml(content: dict[str, Any]) -> str:
    """The text of a meta file; what is not known is `!!null`."""
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return re.sub(r"(?m)(: |- )null$", r"\1!!null", text)
