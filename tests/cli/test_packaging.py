"""What is installed: every module of the rooms and every config, and commands that need no checkout."""

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[2]
OUTSIDE = {"tests", "benchmarks", "docs", "notebooks"}
TINY = {
    "data.root": "corpus",
    "data.train_clips": 40,
    "data.validation_clips": 10,
    "data.test_clips": 10,
    "trainer.max_epochs": 1,
    "trainer.accelerator": "cpu",
}


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """Modules and configs of the checkout that are installed."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.yaml"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    rooms = {name for name in listed if "/" in name and name[0] != "." and name.partition("/")[0] not in OUTSIDE}
    return {name for name in (*rooms, "train.py") if (ROOT / name).is_file()}


def test_every_folder_of_a_room_is_a_package(tracked: set[str]) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert not settings["namespaces"]
    packages = {name.replace(".", "/") for name in find_packages(str(ROOT), exclude=settings["exclude"])}
    folders = {str(Path(name).parent) for name in tracked if name.endswith(".py")} - {"."}
    assert packages == folders


@pytest.fixture(scope="module")
def wheel(tracked: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, built beside it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*tracked, "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    return next(target.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_config_and_nothing_else(wheel: Path, tracked: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == tracked


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel, which takes what the wheel needs from that of the tests."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    others = [path for path in sys.path if path.endswith("site-packages")]
    # Plain paths: of an editable installation there, the .pth file is not read.
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    script = home / "bin" / "audio-relevance"  # as pip writes it
    script.write_text(f"#!{home}/bin/python\nimport sys\nfrom cli.__main__ import main\nsys.exit(main())\n")
    script.chmod(0o755)
    return home / "bin"


def run(folder: Path, *command: object) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_commands_work_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    place = run(tmp_path, installed / "python", "-c", "import cli; print(cli.__file__)").stdout
    assert place.startswith(str(installed.parent))
    listed = run(tmp_path, installed / "audio-relevance", "--help")
    assert listed.returncode == 0
    assert "compare finished runs" in listed.stdout
    nothing = run(tmp_path, installed / "audio-relevance", "compare")
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("error: the following arguments are required: FOLDER")
    assert run(tmp_path, installed / "python", "-m", "cli", "compare", "--help").stdout.startswith("usage: ")


@pytest.mark.slow
def test_a_run_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    flags = [f"--{name}={value}" for name, value in TINY.items()]
    fitted = run(tmp_path, installed / "audio-relevance", "fit", "--config", "demo_listnet", *flags)
    assert fitted.returncode == 0, fitted.stderr
    folder = tmp_path / "runs" / "demo_listnet" / "0"
    assert (folder / "queries_test.parquet").is_file()
    compared = run(tmp_path, installed / "audio-relevance", "compare", folder)
    assert "One method: nothing to test." in compared.stdout
