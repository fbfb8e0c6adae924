"""The documents, taken apart: code blocks, the files and commands they show, and links."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.S | re.M)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def shown_files() -> dict[str, str]:
    """The files that documents show, by the name in their first line: `# my_idea.yaml`."""
    blocks = [block for path in DOCUMENTS for _, block in BLOCK.findall(read(path))]
    return {name[1]: block for block in blocks if (name := re.match(r"# (\w+\.(?:py|yaml))\n", block))}


def header(config: Path) -> str:
    """The comment at the top of a config, without its signs."""
    lines = read(config).splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line.removeprefix("#") for line in lines[:end])


def commands() -> dict[str, list[str]]:
    """Every command in a bash block or a config's header, as its words, by where it stands."""
    found: dict[str, list[str]] = {}
    blocks = [(path, block) for path in DOCUMENTS for kind, block in BLOCK.findall(read(path)) if kind == "bash"]
    for path, text in blocks + [(path, header(path)) for path in sorted(CONFIGS.rglob("*.yaml"))]:
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            if path.suffix == ".yaml" and not re.match(r" {3}(python|audio-relevance|pip) ", line):
                continue  # prose
            if words := shlex.split(line, comments=True):
                found[f"{path.name}: {' '.join(words)}"] = words
    return found
