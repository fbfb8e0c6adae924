"""The network of PaSST, on torch's own parts.

Koutini et al., "Efficient Training of Audio Transformers with Patchout", Interspeech 2022, arXiv 2110.05069.
Parameters bear the names of the published checkpoints (less their classifiers).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from common.errors import ModelError
from common.numbers import check_numbers

PATCH = 16
"""Mel bands and frames of a patch; patches do not overlap."""
ROWS = 8
"""Patches over frequency: 128 mel bands."""
COLUMNS = 62
"""Patches over time: 998 to 1,000 frames, 10 s."""


class Attention(nn.Module):
    """Multi-head self-attention, `(N, L, D)` -> `(N, L, D)`."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, key_mask: Tensor | None) -> Tensor:
        """`key_mask`: `(N, 1, 1, L)` bool, False where a token must not be looked at; None lets all be seen."""
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, H, L, D/H)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=key_mask)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class Mlp(nn.Module):
    """Two layers with GELU, four times as wide in between."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """`(N, L, D)` -> `(N, L, D)`."""
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, tokens: Tensor, key_mask: Tensor | None) -> Tensor:
        """`(N, L, D)` -> `(N, L, D)`; `key_mask` as in `Attention`."""
        tokens = tokens + self.attn(self.norm1(tokens), key_mask)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class PatchEmbedding(nn.Module):
    """Patches of 16 mels x 16 frames as vectors, `(N, 1, 128, frames)` -> `(N, D, 8, frames // 16)`."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(1, dim, kernel_size=PATCH, stride=PATCH)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Embed the patches; frames that do not fill a patch are left out."""
        patches: Tensor = self.proj(spectrograms)
        return patches


class PasstTransformer(nn.Module):
    """Spectrogram transformer with structured patchout, `passt_s_p16_s16_128_ap468` by default.

    In training, `patchout_time` random columns and `patchout_frequency` random rows of the grid of patches are left
    out before the first block, the same ones for the whole batch; never more than half of either, so that short inputs
    keep some. Time positions of inputs under 10 s start at 0, in training at a random column (as in PaSST's own
    training code). All draws come from torch's generators, so that a seed repeats them.

    Raises:
        ModelError: `dim` is not a multiple of `heads`.
    """

    def __init__(
        self,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        patchout_time: int = 15,
        patchout_frequency: int = 2,
        checkpoint_blocks: bool = False,
    ):
        super().__init__()
        check_numbers(ModelError, "PaSST", 1, dim=dim, depth=depth, heads=heads)
        patchout = {"patchout_time": patchout_time, "patchout_frequency": patchout_frequency}
        check_numbers(ModelError, "PaSST", 0, **patchout)
        if dim % heads:
            raise ModelError(f"dim {dim} is not a multiple of heads {heads}: give every attention head the same size")
        self.patchout_time = patchout_time
        self.patchout_frequency = patchout_frequency
        self.checkpoint_blocks = checkpoint_blocks
        self.patch_embed = PatchEmbedding(dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.dist_token = nn.Parameter(torch.empty(1, 1, dim))
        self.new_pos_embed = nn.Parameter(torch.empty(1, 2, dim))  # of the two tokens
        self.freq_new_pos_embed = nn.Parameter(torch.empty(1, dim, ROWS, 1))
        self.time_new_pos_embed = nn.Parameter(torch.empty(1, dim, 1, COLUMNS))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        """The random weights of vision transformers: truncated normal of sd 0.02, biases 0."""
        for parameter in self.parameters(recurse=False):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, spectrograms: Tensor, columns: Tensor | None = None) -> Tensor:
        """Embed spectrograms of up to 10 s.

        Args:
            spectrograms: `(N, 128, frames)` with 16 to 1,007 frames.
            columns: `(N,)` int64 columns of patches that hold audio. Later ones are hidden from attention, so that an
                embedding does not depend on how far its spectrogram was padded. None shows all.

        Returns:
            `(N, dim)`: the mean of the normed class and distillation tokens.
        """
        patches = self.patch_embed(spectrograms[:, None])  # (N, D, rows, cols)
        patches = patches + self._time_positions(patches.shape[3]) + self.freq_new_pos_embed
        kept_columns = self._keep(patches.shape[3], self.patchout_time)
        kept_rows = self._keep(patches.shape[2], self.patchout_frequency)
        patches = patches[:, :, :, kept_columns][:, :, kept_rows]
        tokens = patches.flatten(2).transpose(1, 2)  # (N, rows * cols, D)
        special = torch.cat([self.cls_token, self.dist_token], 1) + self.new_pos_embed  # (1, 2, D)
        tokens = torch.cat([special.expand(len(tokens), -1, -1), tokens], 1)  # (N, 2 + rows * cols, D)
        key_mask = None if columns is None else _key_mask(columns, kept_columns, len(kept_rows))
        for block in self.blocks:
            if self.checkpoint_blocks and self.training:
                tokens = checkpoint(block, tokens, key_mask, use_reentrant=False)
            else:
                tokens = block(tokens, key_mask)
        embeddings: Tensor = self.norm(tokens[:, :2]).mean(1)
        return embeddings

    def _time_positions(self, columns: int) -> Tensor:
        """Time embeddings of `columns` neighbouring columns, `(1, D, 1, columns)`."""
        spare = COLUMNS - columns
        start = int(torch.randint(spare + 1, (1,))) if self.training and spare else 0
        return self.time_new_pos_embed[..., start : start + columns]

    def _keep(self, size: int, patchout: int) -> Tensor:
        """Sorted indices of the rows or columns that stay, `(kept,)` int64; all of them outside training."""
        device = self.cls_token.device
        if not self.training or not patchout:
            return torch.arange(size, device=device)
        return torch.randperm(size, device=device)[: size - min(patchout, size // 2)].sort().values


def _key_mask(columns: Tensor, kept_columns: Tensor, rows: int) -> Tensor:
    """Which tokens hold audio, the two special ones always do: `(N, 1, 1, 2 + rows * cols)` bool."""
    audible = (kept_columns < columns[:, None]).repeat(1, rows)  # (N, rows * cols), columns running fastest
    return F.pad(audible, (2, 0), value=True)[:, None, None]
