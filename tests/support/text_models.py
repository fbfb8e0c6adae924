"""Captions, and what tiny Hugging Face text models with random weights are made of."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = ("a", "dog", "barks", "while", "rain", "falls", "on", "the", "roof", "dog's", ",", ".")
CAPTIONS = ["a dog barks", "rain falls on the roof while a dog barks", "rain", "the dog barks a dog barks"]
SIZES: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 32,
    "max_position_embeddings": 40,
    "initializer_range": 0.5,  # so that attention matters
}


def save_tokenizer(folder: Path, **options: Any) -> None:
    special = ("<pad>", "<s>", "</s>", "<unk>")
    tokens = {word: i for i, word in enumerate((*special, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=38, **names, **options).save_pretrained(folder)
