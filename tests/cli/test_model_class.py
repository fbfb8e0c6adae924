"""A model class of one's own, in a module of the working directory."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli.config_files import content_of, with_flat_model
from cli.lightning_cli import RetrievalCLI
from cli.model_class import chosen_class, class_as_flag
from experiments.run_folder import RunFolder
from experiments.saved_config import read_saved_config
from lightning_modules.dual_encoder import DualEncoder
from retrieval.run_model import load_model
from tests.support.command_line import parsed, refused
from tests.support.runs import ROOT, arguments
from train import main

MODULE = """
from lightning_modules.dual_encoder import DualEncoder


class Mine(DualEncoder):
    def __init__(self, *args, extra: float = 1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = extra
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(MODULE)
    Path("mine.yaml").write_text("model: {class_path: my_model.Mine, init_args: {extra: 2.0}}\n")
    Path("more.yaml").write_text("base: mine.yaml\nmodel: {loss_batch: 16}\n")


@pytest.mark.parametrize(
    "given",
    [
        ["--model", "my_model.Mine", "--model.extra", "2"],
        ["--model=my_model.Mine", "--model.init_args.extra=2"],
        ["--config", "mine.yaml"],
        ["--config=more.yaml", "--config", "small.yaml"],
        ["--model.class_path", "my_model.Mine", "--model.extra", "2"],
    ],
)
def test_it_is_named_on_the_command_line_or_in_a_config(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    cli: RetrievalCLI = parsed("fit", "--config", "demo_listnet", *given)
    model = cli.parser.instantiate(cli.config)["fit"].model
    assert type(model).__name__ == "Mine"
    assert model.extra == 2
    assert cli._resolved()["model_class"] == "my_model.Mine"


def test_without_one_it_is_the_dual_encoder() -> None:
    assert chosen_class(class_as_flag(["fit", "--config", "demo_listnet", "--model.chunk", "2"])) is DualEncoder
    assert with_flat_model(content_of("model: DualEncoder")) == {"model": {}, "model_class": "DualEncoder"}


@pytest.mark.slow
def test_a_run_of_it_is_tested_resumed_and_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*arguments(tmp_path), "--config", "mine.yaml", "--run.experiment", "mine"]
    assert main(["fit", *flags]) == 0
    run = RunFolder(tmp_path / "runs/mine/0")
    saved = run.path / "config_fit.yaml"
    assert main(["test", "--config", str(saved)]) == 0
    assert main(["predict", "--config", str(saved)]) == 0
    model = load_model(run, read_saved_config(saved))
    assert type(model).__name__ == "Mine"
    resumed = ["--run.resume", "true", "--trainer.max_epochs", "2"]
    without = [*arguments(tmp_path), "--run.experiment", "mine", *resumed]
    assert "model_class: my_model.Mine before, None now" in refused(capsys, "fit", *without)
    assert main(["fit", *flags, *resumed]) == 0
    assert yaml.safe_load(saved.read_text())["model"]["extra"] == 2


@pytest.mark.slow
def test_modules_of_the_working_directory_are_found(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "train.py"),
            "fit",
            "--config",
            "demo_listnet",
            "--config",
            "mine.yaml",
            "--print_config",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["model"]["extra"] == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "my_model.Min",
            "model: 'my_model.Min' cannot be imported (AttributeError: module 'my_model' has no attribute",
        ),
        ("nowhere.Mine", "cannot be imported (ModuleNotFoundError: No module named 'nowhere'); give MODULE.CLASS"),
        ("json.JSONDecoder", "model: json.JSONDecoder is no DualEncoder; derive it from"),
    ],
)
def test_a_class_that_is_no_model(path: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "fit", "--config", "demo_listnet", "--model", path)
