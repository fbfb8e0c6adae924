"""Arrows between the rooms point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("datamodules", "relevance", "lightning_modules", "reporting", "sweeping")
DOORS = [path.stem for path in ROOT.glob("*.py")]
MAY_IMPORT = {
    "relevance": set(),
    "datamodules": set(),
    "lightning_modules": {"relevance", "datamodules.batch"},  # the two meet data only in the batch
    "reporting": {"relevance"},
    "sweeping": {"reporting", "command_line"},
}


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            top = name.split(".")[0]
            foreign = top in {*ROOMS, *DOORS} and top != room
            assert not foreign or {name, top} & MAY_IMPORT[room], f"{file.relative_to(ROOT)} imports {name}"


def test_no_room_uses_what_does_not_import_beside_a_cpu_build_of_torch() -> None:
    banned = {"torchaudio", "torchvision", "timm", "torchcodec"}
    for file in [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]:
        assert not {name.split(".")[0] for name in imported(file)} & banned, file
