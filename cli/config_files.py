"""Config files found by name, and one clear line for every mistake on the command line."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from common.renamed import with_new_names
from common.text import cause_of
from common.unique_keys import KeyGivenTwiceError, parse_yaml
from experiments.run_folder import CONFIG
from experiments.saved_config import CUT_OFF

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
DEEPEST = 50
"""Configs that may build on each other, and tables in a config that may hold each other; each is a few calls deep."""
MOST_SETTINGS = 10_000
"""In a config; the parser reads each several times."""


def configs_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with all configs before all other flags, so that a flag wins wherever it stands.

    >>> configs_first(["fit", "--data.root", "x", "--config", "small.yaml", "-c=a.yaml"])
    ['fit', '--config', 'small.yaml', '-c=a.yaml', '--data.root', 'x']
    """
    configs: list[str] = []
    others: list[str] = []
    into = others
    for argument in arguments:
        if into is configs:  # the value of a former `--config`
            configs.append(argument)
            into = others
        elif argument in ("--config", "-c"):
            configs.append(argument)
            into = configs
        else:
            (configs if argument.startswith(("--config=", "-c=")) else others).append(argument)
    command = 0 if not others or others[0].startswith("-") else 1
    return [*others[:command], *configs, *others[command:]]


def none_as_null(arguments: Sequence[str]) -> list[str]:
    """The arguments with Python's None, as a sweep writes it, as YAML's null.

    >>> none_as_null(["--data.max_seconds", "None", "--data.root=None"])
    ['--data.max_seconds', 'null', '--data.root=null']
    """
    return [
        f"{text.removesuffix('None')}null" if text == "None" or (text[:2] == "--" and text.endswith("=None")) else text
        for text in arguments
    ]


def find_config(name: str, beside: Path | None = None, named_in: str | None = None) -> str:
    """The file that `--config name` means: as given, else in configs/, with or without `.yaml`; inline YAML is left.

    Args:
        name: of a config.
        beside: the folder of the file that names it under `base:`, where it is looked for first.
        named_in: that file, for the message.

    Raises:
        TypeError: there is none; the message lists those there are. (The type by which argparse takes a bad value.)
    """
    if "\n" in name or ":" in name.replace(":\\", ""):  # inline YAML (a drive letter is not)
        return name
    near = [beside / name, beside / f"{name}.yaml"] if beside else []
    ours = {path.name: path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "sweeps"}
    for candidate in (*near, Path(name), CONFIGS / name, ours.get(name), ours.get(f"{name}.yaml")):
        if candidate is not None and os.path.isfile(candidate):
            return str(candidate)
    names = sorted(ours)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    where = f" (base of {named_in})" if named_in else ""
    raise TypeError(f"config '{name}'{where} is neither a file nor in configs/; {hint}there are: {', '.join(names)}")


def is_file(config: str) -> bool:
    """Whether a config is a file, not inline YAML, which may be longer than any path."""
    return "\n" not in config and os.path.isfile(config)


def find_sweep(name: str) -> Path:
    """The sweep file that a name means: as given, else in configs/sweeps/, with or without `.yaml`."""
    sweeps = CONFIGS / "sweeps"
    candidates = [Path(name), sweeps / name, sweeps / f"{name}.yaml"]
    return next((path for path in candidates if path.is_file()), Path(name))


class ConfigFile(ActionConfigFile):
    """`--config` that also looks in configs/, and applies the configs that a file names under `base:` before it."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Like `ActionConfigFile.__call__`; of the files only the ones the user named are remembered."""
        self._apply(parser, cfg, find_config(values), option_string, ())

    def _apply(self, parser: Any, cfg: Any, path: str, option_string: str | None, inside: tuple[str, ...]) -> None:
        file = Path(path) if is_file(path) else None
        if file and any(is_file(other) and file.samefile(other) for other in inside):
            raise TypeError(f"config {path} builds on itself ({' > '.join([*inside, path])}); fix its `base`")
        if len(inside) == DEEPEST:
            raise TypeError(
                f"config {path}: {DEEPEST} configs already build on each other by `base`; join some of them"
            )
        named = list(cfg.get(self.dest) or [])
        for base in bases_of(path):
            found = find_config(base, file and file.parent, named_in=path)
            self._apply(parser, cfg, found, option_string, (*inside, path))
            cfg[self.dest] = list(named)
        content = converted(path)
        super().__call__(parser, cfg, content, option_string)
        if content != path:  # the parser would not remember inline YAML
            cfg[self.dest] = [*named, path]
        cfg["base"] = None


def converted(config: str) -> str:
    """The config itself; its content as inline YAML where 0.1.0 saved it, or where it names the model's class."""
    content = content_of(config)
    renamed = with_flat_model(with_new_names(content))
    return config if renamed == content else yaml.safe_dump(renamed, sort_keys=False)


def with_flat_model(content: dict[str, Any]) -> dict[str, Any]:
    """A config's content with the model's class as `model_class`, and its `init_args` directly under `model`.

    >>> with_flat_model({"model": {"class_path": "my_model.Mine", "init_args": {"a": 1}}})
    {'model': {'a': 1}, 'model_class': 'my_model.Mine'}
    """
    model = content.get("model")
    model = {"class_path": model} if isinstance(model, str) else model
    if not model or "class_path" not in model:
        return content
    others = {key: value for key, value in model.items() if key not in ("class_path", "init_args")}
    return {**content, "model": {**others, **(model.get("init_args") or {})}, "model_class": model["class_path"]}


def content_of(config: str) -> dict[str, Any]:
    """The settings in a config, a file or inline YAML.

    Raises:
        TypeError: the config is not YAML or no table of settings, or names a key twice.
    """
    try:
        text = Path(config).read_text(encoding="utf-8") if is_file(config) else config
        content = parse_yaml(text)
    except KeyGivenTwiceError as error:
        raise TypeError(f"config {config} gives {error}; leave one of them out") from error
    except UnicodeDecodeError as error:
        raise TypeError(f"config {config} is not UTF-8 ({cause_of(error)}); save it as UTF-8") from error
    except ValueError as error:
        raise TypeError(f"config {config} is not YAML ({cause_of(error)}); fix it") from error
    if is_file(config) and Path(config).name == CONFIG and text and not text.endswith("\n"):
        raise TypeError(f"config {config} {CUT_OFF}")
    if not isinstance(content, dict):
        what = "is empty" if content is None else "is no table of settings"
        raise TypeError(f"config {config} {what}; write keys such as `model:` into it")
    _check_size(content, config)
    for table in (content, *(value for value in content.values() if isinstance(value, dict))):
        if other := [key for key in table if not isinstance(key, str)]:
            raise TypeError(f"config {config} has the key {other[0]!r}; the name of a setting is a text")
    for key in ("model", "data", "trainer", "run"):
        if not isinstance(content.get(key, {}), dict if key in ("trainer", "run") else dict | str):
            raise TypeError(f"config {config}: {key} is {content[key]!r}; give a table of settings, or leave it out")
    return content


def _check_size(content: dict[str, Any], config: str) -> None:
    """Refuse a config that would take minutes to parse, or more calls inside each other than Python allows.

    A part counts as often as aliases refer to it: the parser reads it as often.
    """
    tables: list[tuple[Any, int]] = [(content, 1)]
    settings = 0
    while tables:
        table, depth = tables.pop()
        if depth > DEEPEST:
            raise TypeError(
                f"config {config}: more than {DEEPEST} tables or lists inside each other; no setting is so deep"
            )
        inside = list(table.values()) if isinstance(table, dict) else table
        settings += len(inside)
        if settings > MOST_SETTINGS:
            raise TypeError(f"config {config}: more than {MOST_SETTINGS:,} settings; leave out what is none")
        tables += [(value, depth + 1) for value in inside if isinstance(value, dict | list)]


def bases_of(config: str) -> list[str]:
    """What a config, a file or inline YAML, names under `base:`: one name or a list.

    Raises:
        TypeError: the config cannot be read, or `base` is something else.
    """
    base = content_of(config).get("base")
    bases = [base] if isinstance(base, str) else base or []
    if not (isinstance(bases, list) and all(isinstance(name, str) for name in bases)):
        raise TypeError(f"config {config}: base must be the name of a config or a list of names")
    return bases
