"""Folders of pretrained pairs with random weights, made on the spot."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    PeAudioConfig,
    PeAudioFeatureExtractor,
    PeAudioModel,
    PreTrainedTokenizerFast,
)

WORDS = ["a", "the", "dog", "cat", "barks", "meows", "rain", "falls", "on", "roof", "loud", "quiet", "distant"]
WORDS += ["wind", "blows", "while", "engine", "runs"]


def save_tokenizer(folder: Path, gpt: bool = False) -> int:
    """A tokenizer of a few words, with RoBERTa's special tokens or GPT-2's; the size of its vocabulary."""
    signs = ["!", "<|endoftext|>"] if gpt else ["<s>", "<pad>", "</s>", "<unk>"]
    words = [*signs, *WORDS]
    unknown = signs[-1]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    special = {"bos_token": unknown, "eos_token": unknown, "unk_token": unknown}
    if not gpt:
        special = {
            "bos_token": "<s>",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "cls_token": "<s>",
        }
        tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(folder)
    return len(words)


def save_clap(folder: Path, fusion: bool = False, seconds: int = 10, seed: int = 0) -> Path:
    """A `ClapModel` of 6,000 or so weights, with biases and norms that are not trivial."""
    text = {
        "vocab_size": save_tokenizer(folder),
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "max_position_embeddings": 80,
    }
    audio: dict[str, Any] = {
        "hidden_size": 32,
        "patch_embeds_hidden_size": 4,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
    }
    if fusion:
        audio |= {"enable_fusion": True, "fusion_type": "aff_2d"}
    torch.manual_seed(seed)
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=8))
    randomise(model).save_pretrained(folder)
    ClapFeatureExtractor(max_length_s=seconds, truncation="fusion" if fusion else "rand_trunc").save_pretrained(folder)
    return folder


def save_pe_audio(folder: Path, seed: int = 0) -> Path:
    """A small `PeAudioModel`."""
    text = {
        "vocab_size": save_tokenizer(folder),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        **dict.fromkeys(("bos_token_id", "cls_token_id"), 0),
        "pad_token_id": 1,
        **dict.fromkeys(("eos_token_id", "sep_token_id"), 2),
    }
    audio = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 8,
        "dac_config": {"encoder_hidden_size": 2, "hidden_size": 32, "codebook_dim": 8},
    }
    torch.manual_seed(seed)
    config = PeAudioConfig(text_config=text, audio_config=audio)
    model = randomise(PeAudioModel(config))
    model.text_audio_logit_scale.data.fill_(10.0)
    model.save_pretrained(folder)
    PeAudioFeatureExtractor().save_pretrained(folder)
    return folder


def randomise(model: Any) -> Any:
    """The model with small noise on every weight, so that nothing is exactly 0 or 1."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return model.eval()
