"""Config files found by name, and one clear line for every mistake on the command line."""

import difflib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse._typehints
import yaml
from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined]
from lightning.pytorch.cli import LightningArgumentParser

UNKNOWN_KEY = re.compile(
    r"[Uu]nrecognized arguments: --([\w.]+)"
    r"|[Oo]ption '([\w.]+)' is not accepted"
    r"|does not accept option '([\w.]+)'"
    r"|dot import path string: ([\w.]+)"
    r"|class_path '([\w.]+)'"
)
ROOMS = {"datamodules", "relevance", "lightning_modules"}
CONFIGS = Path(__file__).parent / "configs"


def begin_anew(parser: Any, former: Any, chosen: Any) -> None:
    """Forget the settings of a class when a config or flag chooses another class in its place.

    jsonargparse itself keeps those that the new class has under the same name, defaults among them: the direction of
    ListNet would become that of InfoNCE, and PaSST's size that of a small CNN.
    """
    if former and "init_args" in former and class_named(former["class_path"]) is not class_named(chosen["class_path"]):
        former.pop("init_args")


def class_named(path: str) -> Any:
    """The class of a dotted path; one class can be reached by several."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


# It has no setting for this; a test holds that the function is still the one that decides.
jsonargparse._typehints.discard_init_args_on_class_path_change = begin_anew


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
    for candidate in (*near, Path(name), CONFIGS / name, CONFIGS / f"{name}.yaml"):
        if candidate.is_file():
            return str(candidate)
    names = sorted(path.name for path in CONFIGS.glob("*.yaml"))
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise TypeError(f"config '{name}' is neither a file nor in configs/; {hint}there are: {', '.join(names)}")


class ConfigFile(ActionConfigFile):
    """`--config` that also looks in configs/, and applies the configs that a file names under `base:` before it."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Like `ActionConfigFile.__call__`; of the files only the ones the user named are remembered."""
        self._apply(parser, cfg, find_config(values), option_string, ())

    def _apply(self, parser: Any, cfg: Any, path: str, option_string: str | None, inside: tuple[str, ...]) -> None:
        if path in inside:
            raise TypeError(f"config {path} builds on itself ({' > '.join([*inside, path])}); mend its `base`")
        named = list(cfg.get(self.dest) or [])
        folder = Path(path).parent if Path(path).is_file() else None
        for base in bases_of(path):
            self._apply(parser, cfg, find_config(base, folder), option_string, (*inside, path))
            cfg[self.dest] = list(named)
        super().__call__(parser, cfg, path, option_string)
        cfg["base"] = None


def bases_of(config: str) -> list[str]:
    """What a config, a file or inline YAML, names under `base:`: one name or a list.

    Raises:
        TypeError: the config is not YAML or no table of settings, or `base` is something else.
    """
    is_file = "\n" not in config and Path(config).is_file()
    try:
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8") if is_file else config)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TypeError(f"config {config} is not YAML ({' '.join(str(error).split())[:200]}); mend it") from error
    if not isinstance(content, dict):
        what = "is empty" if content is None else "is no table of settings"
        raise TypeError(f"config {config} {what}; write keys such as `model:` into it")
    base = content.get("base")
    bases = [base] if isinstance(base, str) else base or []
    if not (isinstance(bases, list) and all(isinstance(name, str) for name in bases)):
        raise TypeError(f"config {config}: base must be the name of a config or a list of names")
    return bases


def classes_in(config: Any) -> Iterator[Any]:
    """Every class of a part of a parsed config (with `class_path` and perhaps `init_args`), those inside others too."""
    if isinstance(config, list):
        for item in config:
            yield from classes_in(item)
    elif hasattr(config, "get") and config.get("class_path"):
        yield config
        for value in vars(config.get("init_args") or Namespace()).values():
            yield from classes_in(value)


def differing_settings(former: Any, now: Any, key: str = "") -> list[str]:
    """Keys at which two configs differ, with both values.

    >>> differing_settings({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    ['a.c: 2 before, 3 now']
    """
    if isinstance(former, dict) and isinstance(now, dict):
        return [
            difference
            for name in {**former, **now}
            for difference in differing_settings(former.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if former == now else [f"{key}: {former} before, {now} now"]


def setting_at(config: Any, key: str) -> Any:
    """The setting of a parsed config at a dotted key, `init_args` left out as on the command line.

    Raises:
        KeyError: there is none.

    >>> setting_at({"model": {"class_path": "a.B", "init_args": {"tau": 0.1}}}, "model.tau")
    0.1
    """
    for name in key.split("."):
        inside = config.get("init_args") if hasattr(config, "get") and name not in config else None
        config = (config if inside is None else inside)[name]
    return config


def filled_in(template: str, config: Any) -> str:
    """A run's name with each `{key}` replaced by the setting at that key; of a class its name.

    Raises:
        KeyError: there is no such setting.

    >>> filled_in("tau={model.tau}", {"model": {"class_path": "a.B", "init_args": {"tau": 0.1}}})
    'tau=0.1'
    >>> filled_in("of {model}", {"model": {"class_path": "a.B"}})
    'of B'
    """

    def value_of(match: re.Match[str]) -> str:
        try:
            value = setting_at(config, match[1])
        except KeyError as error:
            raise KeyError(match[1]) from error
        if hasattr(value, "get") and value.get("class_path"):
            value = value["class_path"].rpartition(".")[2]
        return str(value).replace("/", "_")

    return re.sub(r"\{([\w.]+)\}", value_of, template)


class OneLineParser(LightningArgumentParser):
    """A parser whose errors are one line: what is wrong, and the nearest key where one was misspelt."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error in one line and leave with exit code 2."""
        self.exit(2, f"error: {self.explain(message)}\n")
        raise AssertionError("exit() returned")

    def explain(self, message: str) -> str:
        """The essence of jsonargparse's message in one line, with the nearest key or class added."""
        lines = [line.strip(" -") for line in message.splitlines() if line.strip()]
        essence = re.sub(r":;", ":", "; ".join(dict.fromkeys(lines)))
        if match := UNKNOWN_KEY.search(message):
            key, class_name = match.group(1) or match.group(2) or match.group(3), match.group(4) or match.group(5)
            known = [name for name in self._known_names() if name[0].isupper() == bool(class_name)]
            essence += nearest_name(key or class_name.rpartition(".")[2], known)
        return essence[:900]

    def _known_names(self) -> set[str]:
        """Keys of this parser, and the names and parameters of the classes that a config can choose."""
        names = {action.dest for action in self._actions}
        for action in self._actions:
            if isinstance(action.choices, dict):  # the subcommands' parsers
                names |= {inner.dest for parser in action.choices.values() for inner in parser._actions}
        for module in [module for name, module in sys.modules.items() if name.split(".")[0] in ROOMS]:
            for name, value in inspect.getmembers(module, inspect.isclass):
                if value.__module__.split(".")[0] in ROOMS:
                    names |= {name, *inspect.signature(value.__init__).parameters} - {"self", "args", "kwargs"}
        return names


def nearest_name(wrong: str, known: Iterable[str]) -> str:
    """A hint at the known name nearest to a wrong one, empty where none is near.

    >>> nearest_name("omgea", ["tau", "omega"])
    "; did you mean 'omega'?"
    """
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def one_line(error: BaseException) -> str:
    """The message of an error; of one that a data worker sent, the original message without the worker's traceback.

    >>> one_line(ValueError("Caught X in worker.\\nOriginal Traceback:\\n  ...\\nerrors.DataError: a.wav: is empty\\n"))
    'a.wav: is empty'
    """
    text = str(error).strip()
    if "Original Traceback" in text:
        text = re.sub(r"^[\w.]+: ", "", text.splitlines()[-1])
    return " ".join(text.split())


def refused_by_system(error: OSError) -> str:
    """What the system refused and of which file, in one line; with TRACEBACK set in the environment it is raised."""
    if os.environ.get("TRACEBACK"):
        raise error
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or one_line(error)} (TRACEBACK=1 shows where)"
