"""Audio encoders: padded waveforms in, one vector a clip or frames out."""

from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.audio_encoders.cnn import SmallCNN
from lightning_modules.audio_encoders.expert_features import ExpertFeatures
from lightning_modules.audio_encoders.huggingface import HuggingFaceAudio
from lightning_modules.audio_encoders.mel_statistics import MelStatistics
from lightning_modules.audio_encoders.passt import PaSST
from lightning_modules.audio_encoders.vggish import VGGish
from lightning_modules.audio_encoders.vggsound import VGGSoundResNet18

__all__ = [
    "AudioEncoder",
    "ExpertFeatures",
    "HuggingFaceAudio",
    "MelStatistics",
    "PaSST",
    "SmallCNN",
    "VGGSoundResNet18",
    "VGGish",
]
