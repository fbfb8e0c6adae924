"""Arrows between the rooms point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "common": set(),
    "configs": set(),  # no code
    "datamodules": {"common"},
    "relevance": {"common"},
    "evaluation": {"common"},
    "lightning_modules": {"common", "relevance", "evaluation", "datamodules.batch"},  # data are met in the batch alone
    "experiments": {"common", "relevance", "evaluation"},
    "retrieval": {"common", "datamodules", "relevance", "evaluation", "lightning_modules", "experiments"},
    "cli": {"common", "datamodules", "relevance", "evaluation", "lightning_modules", "experiments", "retrieval"},
}
"""What each room may import: whole rooms, or single modules of one."""
AT_THE_ROOT = {"train.py": {"cli", "common"}}
OUTSIDE = {"tests", "benchmarks", "docs", "notebooks"}
"""Folders that may import everything, and that nothing may import."""


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def project_files() -> list[Path]:
    """Every Python file of the checkout, hidden folders and what a build leaves excepted."""
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.py")]
    return sorted(path for path in found if not path.parts[0].startswith(".") and path.parts[0] != "build")


def test_every_file_is_in_a_room() -> None:
    homeless = [
        path
        for path in project_files()
        if path.parts[0] not in {*MAY_IMPORT, *OUTSIDE} and str(path) not in AT_THE_ROOT
    ]
    assert not homeless, f"{homeless}: move these into a room"


@pytest.mark.parametrize("room", [*MAY_IMPORT, *AT_THE_ROOT])
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = {**MAY_IMPORT, **AT_THE_ROOT}[room]
    files = [path for path in project_files() if path.parts[0] == room]
    assert files
    for file in files:
        for name in imported(ROOT / file):
            top = name.split(".")[0]
            if top in {*MAY_IMPORT, *OUTSIDE, "train"} - {room}:
                is_allowed = top in allowed or any(
                    name == entry or name.startswith(f"{entry}.") or entry.startswith(f"{name}.") for entry in allowed
                )
                assert is_allowed, f"{file} imports {name}"


def private_imports(file: Path) -> set[str]:
    """Names with a leading underscore that a file takes from a module of ours."""
    ours = {*MAY_IMPORT, *OUTSIDE}
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] in ours):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found |= {name for name in names if name.startswith("_") and not name.startswith("__")}
    return found


def test_no_module_takes_private_names_of_another() -> None:
    files = [path for path in project_files() if path.parts[0] not in OUTSIDE]
    taken = {str(path): names for path in files if (names := private_imports(ROOT / path))}
    assert not taken, "make these public, or move them to where they are used"


def test_a_private_import_is_found(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from torch import _C\nfrom common.text import plain, _hidden\nfrom cli._parser import parse\n")
    assert private_imports(file) == {"_hidden", "_parser"}


@pytest.mark.slow
def test_no_room_uses_what_does_not_import_beside_a_cpu_build_of_torch() -> None:
    banned = {"torchaudio", "torchvision", "timm", "torchcodec"}
    for file in project_files():
        if file.parts[0] not in OUTSIDE:
            assert not {name.split(".")[0] for name in imported(ROOT / file)} & banned, file
