"""Cnn14 of PANNs on torch's own parts, under the names of its published weights."""

import torch.nn.functional as F
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and ReLU, then average pooling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor, pool: int) -> Tensor:
        """(N, inputs, T, F) -> (N, outputs, T // pool, F // pool)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.avg_pool2d(hidden, pool) if pool > 1 else hidden


class Cnn14(nn.Module):
    """Log-mels to one vector a window.

    Source: Kong et al. 2020, "PANNs: large-scale pretrained audio neural networks for audio pattern recognition".

    Args:
        width: channels of the first block; the paper's is 64.
        dim: size of the vectors.
    """

    def __init__(self, width: int = 64, dim: int = 2048) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(64)
        channels = [1, *(width * 2**block for block in range(6))]
        for block in range(6):
            self.add_module(f"conv_block{block + 1}", ConvBlock(channels[block], channels[block + 1]))
        self.fc1 = nn.Linear(channels[-1], dim)

    def forward(self, mels: Tensor) -> Tensor:
        """(N, frames, 64) -> (N, dim)."""
        hidden = self.bn0(mels[:, None].transpose(1, 3)).transpose(1, 3)  # (N, 1, frames, 64)
        for block in range(6):
            hidden = self.get_submodule(f"conv_block{block + 1}")(hidden, 2 if block < 5 else 1)
            hidden = F.dropout(hidden, 0.2, self.training)
        over_time = hidden.mean(3)  # (N, channels, frames)
        pooled = F.dropout(over_time.amax(2) + over_time.mean(2), 0.5, self.training)
        return F.dropout(F.relu(self.fc1(pooled)), 0.5, self.training)
