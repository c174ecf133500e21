"""Features moved along a flow."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.precision import no_autocast


def _places(flow: Tensor) -> Tensor:
    """(B, H, W, 2): for each pixel, where the flow takes it from: columns, rows."""
    h, w = flow.shape[-2:]
    down = torch.arange(h, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    right = torch.arange(w, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    return torch.stack([right, down], -1)


def _grid(places: Tensor) -> Tensor:
    """As `grid_sample` takes them with ``align_corners=False``, which knows an outside of a single pixel, too."""
    h, w = places.shape[1:3]
    return (2 * places + 1) / places.new_tensor([w, h]) - 1


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Bilinear between pixels, zero outside the image; a flow of 0 gives `x` to the last bit.

    Computed in float32 at least, also under autocast: in bfloat16 a pixel's place is off by 1.6 pixels at 320 columns.

    Args:
        x: (B, C, H, W).
        flow: (B, 2, H, W) pixels to the right and down: ``out[y, x] = x[y + flow[1], x + flow[0]]``.
    """
    with no_autocast(x.device):
        kind = torch.promote_types(flow.dtype, torch.float32)
        places, features = _places(flow.to(kind)), x.to(kind)
        corner = places.detach().floor()
        part = (places - corner)[:, None]  # (B, 1, H, W, 2)
        out = torch.zeros_like(features)
        for down in (0, 1):
            for right in (0, 1):
                grid = _grid(corner + corner.new_tensor([right, down]))
                share = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
                out = out + F.grid_sample(features, grid, mode="nearest", align_corners=False) * share
        return out.to(x.dtype)


def warp_images(x: Tensor, flow: Tensor) -> Tensor:
    """`warp`, with the pixels of the border carried on outside the image."""
    with no_autocast(x.device):
        kind = torch.promote_types(flow.dtype, torch.float32)
        grid = _grid(_places(flow.to(kind)))
        return F.grid_sample(x.to(kind), grid, padding_mode="border", align_corners=False).to(x.dtype)
