"""Made-up inputs and roberta-large's configuration: what a step of full size needs, without a download."""

import itertools
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lightning_modules.audio_encoders.passt import PaSST

ROBERTA_LARGE: dict[str, Any] = {
    "model_type": "roberta",
    "vocab_size": 50265,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
}
WORDS = ("a", "dog", "barks", "while", "rain", "falls", "softly", "on", "the", "roof", "and", "wind", "blows")
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}

Inputs = tuple[torch.Tensor, torch.Tensor, list[str]]
"""Waveforms (B, T), lengths (B,) in samples, B captions."""


def made_up(batch: int, seconds: float, device: torch.device) -> Inputs:
    """Noise at 32 kHz, and captions of 9 to 17 words."""
    torch.manual_seed(0)
    samples = round(seconds * PaSST.sample_rate)
    waveforms = torch.randn(batch, samples, device=device) / 10
    captions = [" ".join(itertools.islice(itertools.cycle(WORDS), i % 13, i % 13 + 9 + i % 9)) for i in range(batch)]
    return waveforms, torch.full((batch,), samples, device=device), captions


def tokenizer() -> PreTrainedTokenizerFast:
    """A token a word, between RoBERTa's `<s>` and `</s>`; special tokens have RoBERTa's numbers."""
    numbers = {token: number for number, token in enumerate((*SPECIAL.values(), *WORDS))}
    inner = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL["unk_token"]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.BertProcessing(("</s>", numbers["</s>"]), ("<s>", numbers["<s>"]))
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=512, **SPECIAL)


def tokenizer_folder(folder: str) -> str:
    """The folder, after `tokenizer` was saved in it."""
    tokenizer().save_pretrained(Path(folder))
    return folder
