"""Text encoders: captions in, one vector a caption out."""

from lightning_modules.text_encoders.base import TextEncoder
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from lightning_modules.text_encoders.sentence_bert import SentenceBert
from lightning_modules.text_encoders.word_vectors import WordVectors

__all__ = ["HuggingFaceText", "SentenceBert", "TextEncoder", "WordVectors"]
