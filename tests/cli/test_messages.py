"""What a mistake in a config or on the command line says: the key, the cause and what to do."""

from pathlib import Path

import pytest

from cli.config_checks import check_project
from cli.parser_messages import plain
from common.errors import RunError
from experiments.run_folder import LONGEST_NAME
from tests.support.command_line import parsed, refused
from tests.support.runs import arguments

CLOTHO = ["--config", "clotho_listnet", "--config", "small"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("--batch_size", "--data.batch_size"),
        ("--model.lr", "--model.optimizer.lr"),
        ("--model.learning_rate", "--model.optimizer.lr"),
        ("--model.optimizer.learning_rate", "--model.optimizer.lr"),
        ("--lr", "--model.optimizer.lr"),
        ("--epochs", "--trainer.max_epochs"),
        ("--max_epochs", "--trainer.max_epochs"),
        ("--gpus", "--trainer.devices"),
        ("--devices", "--trainer.devices"),
        ("--seed", "--seed_everything"),
        ("--root", "--data.root or --run.root"),
        ("--experiment", "--run.experiment"),
        ("--tau", "--model.objective.tau"),
        ("--model.embedding_dim", "--model.matcher.embedding_dim"),
        ("--model.head", "--model.matcher.head"),
    ],
)
def test_the_option_that_was_meant_is_named_in_full(wrong: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", *CLOTHO, wrong, "1")
    assert error == f"error: there is no option {wrong}; did you mean {meant}?"


def test_the_option_itself_is_named_beside_one_that_ends_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", *CLOTHO, "--data.batch_size", "4", "--batch_size", "4")
    assert error == "error: there is no option --batch_size; did you mean --data.batch_size?"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--data.batch_size", "x"], "data.batch_size: expected a whole number, got x"),
        (["--run.save_minutes", "x"], "run.save_minutes: expected a number or null, got x"),
        (["--data.related.group", "x"], "data.related.group: expected a whole number, got x"),
        (["--model.optimizer.lr", "nan"], "model.optimizer.lr: expected a number, got nan"),
        (
            ["--model.objective", "SmallCNN"],
            "there is no class 'SmallCNN' that can stand here; it is a class of",
        ),
        (["--data.root", "${oc.env:UNSET_HERE}"], "root: the environment variable UNSET_HERE is not set; set it, or"),
        (
            ["--seed_everything", "4294967296"],
            "seed_everything is 4294967296; give a whole number from 0 to",
        ),
        (["--seed_everything", "false"], "seed_everything is false; give a whole number, so that the run can be"),
        (["--seed_everything", "true"], "seed_everything is true; give a whole number, so that the run can be"),
        (["--trainer.val_check_interval", "0"], "trainer.val_check_interval is 0; give batches from 1"),
        (["--run.wandb_project", "a/b"], "run.wandb_project is 'a/b': give a name without /"),
        (["--ckpt_path", "gone.ckpt"], "--ckpt_path gone.ckpt: no such checkpoint; check the path"),
        (["--ckpt_path", "last"], "--ckpt_path last: there is no runs/clotho_listnet+small/0/checkpoints/last.ckpt"),
    ],
)
def test_a_wrong_value(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", *CLOTHO, *given)
    assert message in error
    assert "Union" not in error


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model.optimizer.lr=-1"], "model.optimizer.lr: Invalid learning rate: -1.0"),
        (["--model.optimizer.betas=[2,3]"], "model.optimizer.betas: Invalid beta parameter at index 0: 2.0"),
        (["--config", "nan.yaml"], "model.optimizer.lr: Invalid learning rate: nan"),
        (["--trainer.strategy", "foo"], "trainer.strategy: You selected an invalid strategy name"),
        (
            ["--trainer.callbacks", "Timer", "--trainer.callbacks.duration", "xx"],
            "trainer.callbacks: Timer cannot be built: MisconfigurationException: `Timer(duration='xx')`",
        ),
        (["--data.max_seconds=0"], "error: data.max_seconds is 0"),
        (["--model.matcher.embedding_dim=0"], "error: model.matcher: embedding_dim is 0; give a number from 1"),
        (["--trainer.val_check_interval", "1000"], "trainer.val_check_interval: `val_check_interval` (1000) must be"),
    ],
)
@pytest.mark.slow
def test_what_a_library_refuses_names_the_setting_and_writes_nothing(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("nan.yaml").write_text("model: {optimizer: {class_path: torch.optim.Adam, init_args: {lr: .nan}}}\n")
    assert message in refused(capsys, "fit", *arguments(tmp_path), *given)
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: [a]", "config mine.yaml: model is ['a']; give a table of settings"),
        ("model: null", "config mine.yaml: model is None; give a table of settings"),
        (
            "trainer: {max_epochs: 1}\ntrainer: {max_epochs: 2}",
            "gives the key trainer twice (again in line 2)",
        ),
        (f"trainer: {{max_epochs: {'9' * 5000}}}", "config mine.yaml is not YAML (Exceeds the limit"),
        ("trainer: {1: 2}", "config mine.yaml has the key 1; the name of a setting is a text"),
        (f"a: {'{a: ' * 60}1{'}' * 60}", "config mine.yaml: more than 50 tables or lists inside each other"),
        (
            f"a0: &a0 [{'x, ' * 30}x]\na1: &a1 [{'*a0, ' * 30}*a0]\na2: [{'*a1, ' * 30}*a1]",
            "config mine.yaml: more than 10,000 settings",
        ),
        ("trainer: {max_epochs: 010}", "config mine.yaml is not YAML (line 1: 010 is 8 to YAML; write 8, or '010'"),
        ("model: {loss_batch: 3, loss_batch: 4}", "config mine.yaml gives the key loss_batch twice (again in line 1)"),
    ],
)
def test_a_config_that_is_no_config(content: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(content)
    assert message in refused(capsys, "fit", *CLOTHO, "--config", "mine.yaml")


def test_a_config_in_another_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("trainer: {max_epochs: 1}", encoding="utf-16")
    assert "config mine.yaml is not UTF-8" in refused(capsys, "fit", *CLOTHO, "--config", "mine.yaml")


def test_inline_yaml_may_be_longer_than_a_path() -> None:
    for between in ("\n", " "):
        settings = f"{{base: demo_listnet,{between}{' ' * 5000}run: {{root: here}}}}"
        assert parsed("fit", "--config", settings).config["fit"].run.root == "here"


def test_pythons_none_is_null() -> None:
    for given in (["--data.max_seconds", "None"], ["--data.max_seconds=None"]):
        assert parsed("fit", *CLOTHO, *given).config["fit"].data.init_args.max_seconds is None


@pytest.mark.slow
def test_data_are_looked_for_before_models(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", "--config", "clotho_listnet", "--data.root", "nowhere")  # nor is there a checkpoint
    assert "nowhere/clotho_csv_files/clotho_captions_development.csv: no such file" in error


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["search", "--run", "x", "--serve", "--port", "99999"], "--port is 99999; give a number from 1 to 65535"),
        (["neighbours", "--data", "Clotho", "--data.root", "x", "--k", "100000000"], "k is 100000000; give at most"),
    ],
)
def test_numbers_out_of_range(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, *given)


def test_a_union_that_failed_in_a_part_says_which_cause() -> None:
    causes = "\n  - `x` is no duration\n  - Expected a <class 'NoneType'>"
    assert plain(f"Does not validate against any of the Union subtypes\nErrors:{causes}") == "`x` is no duration"


@pytest.mark.parametrize("project", ["a", "audio retrieval", "été.1-b_c", "x" * LONGEST_NAME])
def test_a_project_may_be_called_so(project: str) -> None:
    check_project(project)


@pytest.mark.parametrize(
    ("project", "told"),
    [
        ("", "of 1 to 128 characters"),
        ("x" * (LONGEST_NAME + 1), "of 1 to 128 characters"),
        *((f"a{sign}b", f"without {sign}") for sign in "/\\#?%:"),
        ("?a#b?", "without # ?"),
    ],
)
def test_a_project_may_not_be_called_so(project: str, told: str) -> None:
    with pytest.raises(RunError) as caught:
        check_project(project)
    assert str(caught.value) == f"run.wandb_project is '{project}': give a name {told}"
