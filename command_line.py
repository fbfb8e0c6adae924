"""Config files found by name, and one clear line for every mistake on the command line."""

import difflib
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse._typehints
import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]
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
    if former and "init_args" in former and former["class_path"] != chosen["class_path"]:
        former.pop("init_args")


# It has no setting for this; a test holds that the function is still the one that decides.
jsonargparse._typehints.discard_init_args_on_class_path_change = begin_anew


def find_config(name: str) -> str:
    """The file that `--config name` means: as given, else in configs/, with or without `.yaml`; inline YAML is left.

    Raises:
        TypeError: there is none; the message lists those there are. (The type by which argparse takes a bad value.)
    """
    if "\n" in name or ":" in name.replace(":\\", ""):  # inline YAML (a drive letter is not)
        return name
    for candidate in (Path(name), CONFIGS / name, CONFIGS / f"{name}.yaml"):
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
        path = find_config(values)
        named = list(cfg.get(self.dest) or [])
        for base in bases_of(path):
            self(parser, cfg, base, option_string)
            cfg[self.dest] = list(named)
        super().__call__(parser, cfg, path, option_string)
        cfg["base"] = None


def bases_of(path: str) -> list[str]:
    """What a config file names under `base:`, one name or a list; empty for inline YAML.

    Raises:
        TypeError: the file is not YAML, or `base` is something else.
    """
    if not Path(path).is_file():
        return []
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TypeError(f"config {path} is not YAML ({' '.join(str(error).split())[:200]}); mend it") from error
    base = content.get("base") if isinstance(content, dict) else None
    bases = [base] if isinstance(base, str) else base or []
    if not (isinstance(bases, list) and all(isinstance(name, str) for name in bases)):
        raise TypeError(f"config {path}: base must be the name of a config or a list of names")
    return bases


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
