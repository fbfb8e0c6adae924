"""Audio encoders: padded waveforms in, one vector a clip out."""

from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.cnn import SmallCNN
from lightning_modules.audio_encoders.expert_features import ExpertFeatures
from lightning_modules.audio_encoders.huggingface import HuggingFaceAudio
from lightning_modules.audio_encoders.passt import PaSST

__all__ = ["AudioEncoder", "ExpertFeatures", "HuggingFaceAudio", "PaSST", "SmallCNN"]
