"""Encoders trained in part or not at all: what gets gradients, what costs a backward pass, and where noise is left."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from torch import Tensor
from transformers import (
    AlbertConfig,
    AutoModel,
)

from common.errors import ModelError
from lightning_modules.audio_encoders import AudioEncoder
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.text_encoders.base import TextEncoder
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from relevance.objectives.listnet import ListNet
from tests.support.frozen_encoders import SIZES3, Encoders, embed, loss, model_of, passt
from tests.support.text_models import CAPTIONS, save_tokenizer
from tests.support.tiny import KindRelevance, TinyAudio, TinyText, cosine

LAST_LAYER: dict[str, tuple[str, ...]] = {
    "bert": ("encoder.layer.2.",),
    "roberta": ("encoder.layer.2.",),
    "mpnet": ("encoder.layer.2.",),
    "distilbert": ("transformer.layer.2.",),
    "modernbert": ("layers.2.", "final_norm."),
    "ast": ("layers.2.", "encoder.layer.2.", "layernorm."),
    "wav2vec2": ("encoder.layers.2.",),  # its norm is before the layers
    "wav2vec2-stable": ("encoder.layers.2.", "encoder.layer_norm."),  # and here behind them
    "whisper": ("layers.2.", "layer_norm."),
    "clap": ("audio_encoder.layers.3.", "audio_encoder.norm."),
    "passt": ("blocks.2.", "norm."),
}
"""Beginnings of the names of what is trained with `trained_layers` 1."""

NO_WEIGHTS = {"clap": {"audio_encoder.avgpool"}, "passt": {""}}
"""What else is in training mode: what has no weights and comes after the layers, and the network that does patchout."""


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    return Encoders(tmp_path_factory.mktemp("models"))


def trained(encoder: Any) -> set[str]:
    return {name for name, parameter in model_of(encoder).named_parameters() if parameter.requires_grad}


def differentiated(output: Tensor) -> set[Tensor]:
    """Parameters at the leaves of an output's graph: what a backward pass goes to."""
    seen, leaves, waiting = set(), set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node.variable)
        waiting += [following for following, _ in node.next_functions]
    return leaves


# ---- the last layers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LAST_LAYER)
def test_the_last_layer_is_trained_with_what_comes_after_it(encoders: Encoders, kind: str) -> None:
    encoder = encoders(kind, trained_layers=1)
    names = dict(model_of(encoder).named_parameters())
    assert trained(encoder) == {name for name in names if name.startswith(LAST_LAYER[kind])}
    assert not encoder.is_frozen
    output = embed(encoder)
    assert differentiated(output) == {names[name] for name in trained(encoder)}  # all of it, so DDP has no complaint
    loss(output).backward()
    assert {name for name in names if names[name].grad is not None} == trained(encoder)


@pytest.mark.parametrize("kind", LAST_LAYER)
def test_gradients_are_those_of_the_whole_model(encoders: Encoders, kind: str) -> None:
    """In evaluation mode, where neither model draws anything."""
    part, whole = encoders(kind, trained_layers=2).eval(), encoders(kind).eval()
    model_of(whole).load_state_dict(model_of(part).state_dict())
    for encoder in (part, whole):
        loss(embed(encoder)).backward()
    expected = dict(model_of(whole).named_parameters())
    assert 0 < len(trained(part)) < len(trained(whole))
    assert max(expected[name].grad.norm() for name in trained(part)) > 1e-2
    for name in trained(part):
        torch.testing.assert_close(model_of(part).get_parameter(name).grad, expected[name].grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", LAST_LAYER)
def test_what_is_frozen_is_in_evaluation_mode(encoders: Encoders, kind: str) -> None:
    encoder = encoders(kind, trained_layers=1)
    names = {name for name, _ in model_of(encoder).named_modules()}
    expected = {name for name in names if f"{name}.".startswith(LAST_LAYER[kind])} | NO_WEIGHTS.get(kind, set())
    for mode in (True, False, True):
        training = {name for name, part in model_of(encoder).named_modules() if part.training}
        assert training == (expected if mode else set())
        encoder.train(not mode)


def test_dropout_begins_in_the_trained_layers(encoders: Encoders) -> None:
    encoder = encoders("roberta", trained_layers=1)
    inputs: list[Tensor] = []
    encoder.model.encoder.layer[2].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    first, second = encoder(CAPTIONS), encoder(CAPTIONS)
    assert torch.equal(*inputs)
    assert not inputs[0].requires_grad
    assert not torch.equal(first, second)


def test_patchout_and_jitter_go_on_while_a_block_is_trained() -> None:
    tokens: list[int] = []
    for encoder in (passt(), passt(trained_layers=1), passt(trained_layers=0)):
        encoder.network.blocks[0].register_forward_pre_hook(lambda _, args: tokens.append(args[0].shape[1]))
        embed(encoder)
        assert encoder.spectrogram.training == encoder.network.training == (not encoder.is_frozen)
    assert tokens == [2 + (8 - 2) * (62 - 15), 2 + (8 - 2) * (62 - 15), 2 + 8 * 62]


def test_recomputed_blocks_have_the_same_gradients() -> None:
    gradients = []
    for options in ({}, {"checkpoint_blocks": True}):
        torch.manual_seed(0)
        encoder = passt(trained_layers=2, **options)
        loss(embed(encoder)).backward()
        gradients.append([encoder.network.get_parameter(name).grad for name in sorted(trained(encoder))])
    torch.testing.assert_close(*gradients)


def test_a_step_leaves_frozen_weights_as_they_were(encoders: Encoders) -> None:
    for kind in ("clap", "passt", "bert"):
        encoder = encoders(kind, trained_layers=1)
        before = copy.deepcopy(model_of(encoder).state_dict())
        optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=0.1)
        loss(embed(encoder)).backward()
        optimizer.step()
        after = model_of(encoder).state_dict()
        changed = {name for name in after if not torch.equal(after[name], before[name])}
        assert changed == trained(encoder)  # batch statistics of CLAP neither


def test_as_many_as_there_are_leaves_the_embeddings(encoders: Encoders) -> None:
    encoder = encoders("bert", trained_layers=3)
    names = {name for name, _ in encoder.model.named_parameters()}
    assert trained(encoder) == {name for name in names if not name.startswith("embeddings.")}
    assert trained(encoders("bert")) == names


# ---- nothing at all --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LAST_LAYER)
def test_a_frozen_encoder_costs_no_backward_pass_and_draws_nothing(encoders: Encoders, kind: str) -> None:
    encoder = encoders(kind, trained_layers=0)
    assert encoder.is_frozen
    evaluated = embed(encoder.eval())
    for mode in (True, False, True):
        encoder.train(mode)
        state = torch.get_rng_state() if isinstance(encoder, TextEncoder) else None
        output = embed(encoder)
        assert not output.requires_grad
        assert torch.equal(output, evaluated)
        if state is not None:
            assert torch.equal(torch.get_rng_state(), state)
    assert not any(part.training for part in encoder.modules() if part is not encoder)


@pytest.mark.parametrize("make", [TinyAudio, TinyText])
def test_an_encoder_frozen_by_hand_is_so_too(make: type) -> None:
    encoder = make(dropout=0.5)
    assert not encoder.is_frozen
    assert encoder.requires_grad_(False).is_frozen
    encoder.train()
    inputs = (torch.randn(2, 40), torch.tensor([40, 30])) if isinstance(encoder, AudioEncoder) else (["a dog", "rain"],)
    assert torch.equal(encoder(*inputs), encoder(*inputs))
    encoder.requires_grad_(True).train()
    assert not torch.equal(encoder(*inputs), encoder(*inputs))


def test_a_dual_encoder_of_frozen_parts_trains_its_heads(encoders: Encoders) -> None:
    text, audio = encoders("bert", trained_layers=0), encoders("passt", trained_layers=0)
    model = DualEncoder(audio, text, KindRelevance(), ListNet(), matcher=Cosine(4)).train()
    assert not any(part.training for encoder in (text, audio) for part in encoder.modules() if part is not encoder)
    assert cosine(model).audio_head.training
    optimized = {id(parameter) for group in model.configure_optimizers().param_groups for parameter in group["params"]}
    heads = [*cosine(model).audio_head.parameters(), *cosine(model).text_head.parameters()]
    assert optimized == {id(parameter) for parameter in heads}
    summary = ModelSummary(model)
    assert summary.trainable_parameters == sum(parameter.numel() for parameter in heads) < summary.total_parameters


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"), [("bert", "HuggingFaceText"), ("passt", "PaSST"), ("ast", "HuggingFaceAudio")]
)
@pytest.mark.parametrize("count", [-1, 4])
def test_layers_that_are_not_there_are_refused(encoders: Encoders, kind: str, name: str, count: int) -> None:
    with pytest.raises(ModelError, match=f"^{name}: trained_layers is {count}; give 0 to 3, or null for all$"):
        encoders(kind, trained_layers=count)


def test_a_model_whose_layers_are_one_is_refused(tmp_path: Path) -> None:
    AutoModel.from_config(AlbertConfig(**SIZES3, embedding_size=8)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(ModelError, match=r"^HuggingFaceText: the layers .* told apart; give trained_layers 0 or null$"):
        HuggingFaceText(str(tmp_path), trained_layers=1)
    assert HuggingFaceText(str(tmp_path), trained_layers=0).is_frozen
