"""Config files found by name, and one clear line for every mistake on the command line."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

from common.renamed import with_new_names
from common.text import cause_of

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"


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


def find_config(name: str, beside: Path | None = None) -> str:
    """The file that `--config name` means: as given, else in configs/, with or without `.yaml`; inline YAML is left.

    A config named under `base:` is looked for in the folder of the file that names it first, `beside`.

    Raises:
        TypeError: there is none; the message lists those there are. (The type by which argparse takes a bad value.)
    """
    if "\n" in name or ":" in name.replace(":\\", ""):  # inline YAML (a drive letter is not)
        return name
    near = [beside / name, beside / f"{name}.yaml"] if beside else []
    ours = {path.name: path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "sweeps"}
    for candidate in (*near, Path(name), CONFIGS / name, ours.get(name), ours.get(f"{name}.yaml")):
        if candidate is not None and candidate.is_file():
            return str(candidate)
    names = sorted(ours)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise TypeError(f"config '{name}' is neither a file nor in configs/; {hint}there are: {', '.join(names)}")


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
        if path in inside:
            raise TypeError(f"config {path} builds on itself ({' > '.join([*inside, path])}); fix its `base`")
        named = list(cfg.get(self.dest) or [])
        folder = Path(path).parent if Path(path).is_file() else None
        for base in bases_of(path):
            self._apply(parser, cfg, find_config(base, folder), option_string, (*inside, path))
            cfg[self.dest] = list(named)
        content = converted(path)
        super().__call__(parser, cfg, content, option_string)
        if content != path:  # the parser would not remember inline YAML
            cfg[self.dest] = [*named, path]
        cfg["base"] = None


def converted(config: str) -> str:
    """The config itself; of one that version 0.1.0 saved, its content under today's names, as inline YAML."""
    if "\n" in config or not Path(config).is_file():
        return config
    content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    renamed = with_new_names(content)
    return config if renamed == content else yaml.safe_dump(renamed, sort_keys=False)


def bases_of(config: str) -> list[str]:
    """What a config, a file or inline YAML, names under `base:`: one name or a list.

    Raises:
        TypeError: the config is not YAML or no table of settings, or `base` is something else.
    """
    is_file = "\n" not in config and Path(config).is_file()
    try:
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8") if is_file else config)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TypeError(f"config {config} is not YAML ({cause_of(error)}); fix it") from error
    if not isinstance(content, dict):
        what = "is empty" if content is None else "is no table of settings"
        raise TypeError(f"config {config} {what}; write keys such as `model:` into it")
    base = content.get("base")
    bases = [base] if isinstance(base, str) else base or []
    if not (isinstance(bases, list) and all(isinstance(name, str) for name in bases)):
        raise TypeError(f"config {config}: base must be the name of a config or a list of names")
    return bases
