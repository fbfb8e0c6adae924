"""Checkpoint files of MS-CLAP and WavCaps, with small towers under the published names, give what they hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertModel, ClapAudioConfig, ClapAudioModel, GPT2Config, GPT2Model

from common.errors import ModelError
from lightning_modules.audio_encoders.cnn14 import Cnn14
from lightning_modules.audio_encoders.decibel_mels import slaney_mels
from lightning_modules.pairs import ConvertedPair
from lightning_modules.pairs.converted import BLOCK
from tests.support.pairs import randomise, save_tokenizer

DIM = 6
SMALL: dict[str, Any] = {
    "patch_embeds_hidden_size": 4,
    "hidden_size": 32,
    "depths": [1, 2, 1, 1],
    "num_attention_heads": [1, 1, 2, 2],
}
CAPTIONS = ["a dog barks", "rain falls on the roof"]


def published_htsat(model: ClapAudioModel) -> dict[str, Tensor]:
    """HTSAT's weights as its authors name them: the way back."""
    back = {own: name for name, own in BLOCK.items()}
    state: dict[str, Tensor] = {"tscam_conv.weight": torch.zeros(3), "head.bias": torch.zeros(2)}
    weights = {name.removeprefix("audio_encoder."): value for name, value in model.state_dict().items()}
    for name, value in weights.items():
        if ".query." in name:
            third = [weights[name.replace("query", part)] for part in ("query", "key", "value")]
            state[name.replace("attention.self.query", "attn.qkv")] = torch.cat(third)
        elif ".key." not in name and ".value." not in name and "position_index" not in name:
            for own, published in back.items():
                name = name.replace(f".{own}", f".{published}")
            state[name.replace("batch_norm.", "bn0.")] = value
    return state


def head(kind: str, dim: int) -> nn.Module:
    if kind == "wavcaps":
        return nn.Sequential(nn.Linear(dim, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
    parts = {"linear1": nn.Linear(dim, DIM, False), "linear2": nn.Linear(DIM, DIM, False)}
    return nn.ModuleDict({**parts, "layer_norm": nn.LayerNorm(DIM)})


def projected(kind: str, parts: Any, vectors: Tensor) -> Tensor:
    if kind == "wavcaps":
        output: Tensor = parts(vectors)
        return output
    first = parts["linear1"](vectors)
    output = parts["layer_norm"](first + parts["linear2"](F.gelu(first)))
    return output


def text_tower(folder: Path, gpt: bool) -> Any:
    words = save_tokenizer(folder, gpt)
    sizes: dict[str, Any] = {"vocab_size": words}
    if gpt:
        config: Any = GPT2Config(**sizes, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1)
        model: Any = GPT2Model(config)
    else:
        sizes |= {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        config = BertConfig(**sizes)
        model = BertModel(config, add_pooling_layer=False)
    config.save_pretrained(folder)
    return randomise(model)


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize("version", ["msclap 2022", "msclap 2023", "wavcaps htsat-bert"])
@torch.no_grad()
def test_a_published_file_gives_what_its_modules_give(version: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    kind = version.split()[0]
    text = text_tower(tmp_path, gpt=version == "msclap 2023")
    if version == "msclap 2022":
        audio: Any = randomise(Cnn14(width=2, dim=64))
        sizes: dict[str, Any] = {"width": 2}
        tower, audio_dim = audio.state_dict(), 64
    else:
        audio = randomise(ClapAudioModel(ClapAudioConfig(**SMALL, num_mel_bins=64)))
        tower, sizes, audio_dim = published_htsat(audio), SMALL, 32
    rate, seconds = (32_000, 10) if kind == "wavcaps" else (44_100, 5 if "2022" in version else 7)
    mels = slaney_mels(44_100 if "2022" in version else 32_000, 1024, 320, 64, 50.0, 14_000.0)
    mels.bank *= 1.5  # a published file brings its own filters
    tower["logmel_extractor.melW"] = mels.bank.clone()
    heads = randomise(nn.ModuleList([head(kind, audio_dim), head(kind, 8)]))
    inner = "htsat." if version == "msclap 2023" else ""
    if kind == "wavcaps":
        names = ("audio_encoder.audio_enc.", "text_encoder.text_encoder.", "audio_proj.", "text_proj.")
        scale = {"temp": torch.tensor(0.05)}
    else:
        names = (f"audio_encoder.base.{inner}", "caption_encoder.base.", "audio_encoder.projection.",
                 "caption_encoder.projection.")  # fmt: skip
        scale = {"logit_scale": torch.tensor(np.log(20.0))}
    states = (tower, text.state_dict(), heads[0].state_dict(), heads[1].state_dict())
    state = {name: value for pair in zip(names, states, strict=True) for name, value in prefixed(*pair).items()}
    torch.save({"epoch": 3, "model": state | scale}, tmp_path / "file.pt")

    pair = ConvertedPair(version, str(tmp_path / "file.pt"), str(tmp_path), sizes, DIM)
    pair.audio.eval()
    pair.text.eval()
    clips = 0.1 * torch.randn(2, rate * seconds)
    inputs = mels(clips)
    pooled = audio(inputs) if "2022" in version else audio(input_features=inputs[:, None]).pooler_output
    wanted = F.normalize(projected(kind, heads[0], pooled), dim=1)
    lengths = torch.full((2,), clips.shape[1])
    torch.testing.assert_close(pair.audio(clips, lengths), wanted, rtol=0, atol=1e-5)
    tokenizer: Any = pair.text.tokenizer
    vectors = []
    for caption in CAPTIONS:  # each alone
        said = f"{caption} <|endoftext|>" if version == "msclap 2023" else caption
        hidden = text(**tokenizer([said], return_tensors="pt", return_token_type_ids=False)).last_hidden_state
        ids = tokenizer([said], return_tensors="pt")["input_ids"]
        place = int((ids != 0).sum()) - 1 if version == "msclap 2023" else 0
        vectors.append(projected(kind, heads[1], hidden[:, place]))
    torch.testing.assert_close(pair.text(CAPTIONS), torch.cat(vectors), rtol=0, atol=1e-5)
    assert pair.tau == pytest.approx(0.05)
    assert "freesound" in pair.trained_on


def test_another_file_is_refused_in_one_line(tmp_path: Path) -> None:
    text_tower(tmp_path, gpt=False)
    torch.save({"model": {"audio_encoder.base.bn0.weight": torch.ones(64)}}, tmp_path / "file.pt")
    with pytest.raises(ModelError, match=r"is no checkpoint of msclap 2022 .* check version and file"):
        ConvertedPair("msclap 2022", str(tmp_path / "file.pt"), str(tmp_path), {"width": 2})
    with pytest.raises(ModelError, match="version is 'msclap'"):
        ConvertedPair("msclap", None, str(tmp_path))  # type: ignore[arg-type]
