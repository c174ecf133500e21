"""Self-attention within windows of a picture, and layer norm at each place of it, as Swin transformers have them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function_unary

MOST = 2**22  # values of attention that are made at a time where no gradient needs them all
APART = -100.0  # what is added to the logits of places that must not see each other, as in the authors' code


class PlaceNorm(nn.LayerNorm):
    """Layer norm over the channels of each place: (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        if has_torch_function_unary(x):  # a tensor of a kind that has its own way, see sr.deploy
            own: Tensor = handle_torch_function(place_norm, (x,), self, x)
            return own
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def place_norm(norm: PlaceNorm, x: Tensor) -> Tensor:
    """`PlaceNorm` as a function, whose name says what is done."""
    return norm(x)


class WindowLayer(nn.Module):
    """Attention within windows and a network of two linear layers, each after a layer norm and with a skip.

    Liu et al., "Swin Transformer", ICCV 2021 (https://arxiv.org/abs/2103.14030), figures 3 and 4 and equation 4: a
    learned bias for each head and relative position. A shifted layer has its windows half a window further up and
    left; those that reach over the border see what of the picture is in them. Weights are drawn as there: normal with
    deviation 0.02, cut at 2, and biases of 0.

    Args:
        channels: C.
        heads: of the attention, a divisor of C.
        window: w, pixels a side.
        shifted: whether the windows are shifted, by w // 2.
        widening: the two layers' inner width over C.

    Shapes: (B, C, H, W), both sides multiples of w -> the same.
    """

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int, shifted: bool, widening: float = 2.0) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, window // 2 if shifted else 0
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        inner = int(channels * widening)
        self.mlp = nn.Sequential(nn.Linear(channels, inner), nn.GELU(), nn.Linear(inner, channels))
        self.positions = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("index", _relative(window), persistent=False)
        nn.init.trunc_normal_(self.positions, std=0.02)
        for layer in (self.qkv, self.project, self.mlp[0], self.mlp[2]):
            assert isinstance(layer, nn.Linear)
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        if has_torch_function_unary(x):
            own: Tensor = handle_torch_function(window_layer, (x,), self, x)
            return own
        x, s = x.permute(0, 2, 3, 1), self.shift
        y = self.norm1(x)
        if s:  # round the picture, so that the windows at both ends are one: its halves must not see each other
            y = self._attended(torch.roll(y, (-s, -s), (1, 2)), self._ends(y.shape[1], y.shape[2], y.device))
            y = torch.roll(y, (s, s), (1, 2))
        else:
            y = self._attended(y, None)
        return self._then(x + y)

    def of_part(self, x: Tensor, frame: Sequence[int]) -> Tensor:
        """What `forward` makes there of a part of a picture that is made of whole windows.

        Args:
            x: (B, C, h, w).
            frame: (left, right, top, bottom): how far its windows reach over the picture's borders.
        """
        x = x.permute(0, 2, 3, 1)
        left, right, top, bottom = frame
        outside = None
        if any(frame):
            outside = F.pad(torch.zeros(x.shape[1:3], dtype=torch.long, device=x.device), list(frame), value=1)
        y = self._attended(F.pad(self.norm1(x), [0, 0, *frame]), outside)
        return self._then(x + y[:, top : y.shape[1] - bottom, left : y.shape[2] - right])

    def _then(self, x: Tensor) -> Tensor:
        return (x + self.mlp(self.norm2(x))).permute(0, 3, 1, 2)

    def _ends(self, h: int, w: int, device: torch.device) -> Tensor:
        """(h, w): which of the four parts of a picture that was rolled round each place is of."""
        rows, columns = (torch.arange(n, device=device) >= n - self.shift for n in (h, w))
        return 2 * rows.long()[:, None] + columns.long()

    def _attended(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(B, h, w, C) -> the same; places with other labels do not see each other. A few rows of windows at a time."""
        row = x.shape[0] * x.shape[2] * self.heads * self.window**3
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or row * (x.shape[1] // self.window) <= MOST:
            return self._attention(x, labels)
        rows = max(1, MOST // row) * self.window
        those = [None] * -(-x.shape[1] // rows) if labels is None else labels.split(rows)
        return torch.cat([self._attention(a, b) for a, b in zip(x.split(rows, 1), those, strict=True)], 1)

    def _attention(self, x: Tensor, labels: Tensor | None) -> Tensor:
        batch, n, heads = x.shape[0], self.window**2, self.heads
        windows = self._windows(x)  # (B, rows, columns, n, C)
        across = windows.shape[:3]
        q, k, v = self.qkv(windows).unflatten(-1, (3, heads, -1)).permute(4, 0, 1, 2, 5, 3, 6)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        logits = logits + self.positions[self.index].permute(2, 0, 1)
        if labels is not None:
            logits = logits + self._apart(labels).to(logits.dtype)[:, :, None]
        y = (logits.softmax(-1) @ v).transpose(3, 4).reshape(batch, *across[1:], n, -1)
        y = self.project(y).unflatten(3, (self.window, self.window))
        return y.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _apart(self, labels: Tensor) -> Tensor:
        """(h, w) -> (rows, columns, n, n): what is added to the logits of two places of a window."""
        own = self._windows(labels[None, :, :, None])[0, ..., 0]
        return (own[..., None] != own[..., None, :]) * APART

    def mask(self, side: int) -> Tensor:
        """What a shifted layer adds to logits on a square picture: (number of windows, n, n)."""
        return self._apart(self._ends(side, side, self.index.device)).flatten(0, 1)

    def _windows(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, h / w, w / w, w * w, C)."""
        x = x.unflatten(2, (-1, self.window)).unflatten(1, (-1, self.window))
        return x.transpose(2, 3).flatten(3, 4)


def window_layer(layer: WindowLayer, x: Tensor) -> Tensor:
    """`WindowLayer` as a function, whose name says what is done."""
    return layer(x)


def _relative(window: int) -> Tensor:
    """(w * w, w * w): the number of each pair's relative position, as the table of biases counts them."""
    places = torch.arange(window)
    away = places[:, None] - places + window - 1  # of rows and of columns alike
    pairs = away[:, None, :, None] * (2 * window - 1) + away[None, :, None, :]
    return pairs.reshape(window**2, window**2)
