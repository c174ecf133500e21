"""Images, and the networks of the losses once more in numpy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

Array = np.ndarray


@pytest.fixture
def pair() -> tuple[Array, Array]:
    """Output and target (2, 3, 5, 7) in [0, 1], float64."""
    rng = np.random.default_rng(0)
    return rng.random((2, 3, 5, 7)), rng.random((2, 3, 5, 7))


@pytest.fixture
def images() -> Callable[..., torch.Tensor]:
    """Random images in [0, 1]: images(shape, seed) -> float64 tensor."""
    return lambda *shape, seed=0: torch.from_numpy(np.random.default_rng(seed).random(shape))


def conv_in_numpy(x: Array, weight: Array, bias: Array | float = 0.0, stride: int = 1, padding: int = 1) -> Array:
    """(B, C, H, W) correlated with (O, C, k, k), zeros around."""
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("bchwij,ocij->bohw", windows, weight, optimize=True) + np.reshape(bias, (-1, 1, 1))


@pytest.fixture(scope="session")
def conv() -> Callable[..., Array]:
    return conv_in_numpy


@pytest.fixture(scope="session")
def vgg(vgg_state: dict[str, torch.Tensor]) -> Callable[..., list[tuple[Array, Array]]]:
    """vgg(images, count, normalize) -> for each of the first `count` convolutions (before, after the activation)."""

    def run(x: Array, count: int, normalize: bool = True) -> list[tuple[Array, Array]]:
        x = np.broadcast_to(x, (len(x), 3, *x.shape[2:]))
        if normalize:
            x = (x - np.reshape([0.485, 0.456, 0.406], (3, 1, 1))) / np.reshape([0.229, 0.224, 0.225], (3, 1, 1))
        found: list[tuple[Array, Array]] = []
        index = 0
        while len(found) < count:
            if f"features.{index}.weight" not in vgg_state:  # a pooling
                b, c, h, w = x.shape
                x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(b, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
                index += 1
                continue
            weight, bias = (vgg_state[f"features.{index}.{k}"].double().numpy() for k in ("weight", "bias"))
            before = conv_in_numpy(x, weight, bias)
            x = np.maximum(before, 0)
            found.append((before, x))
            index += 2
        return found

    return run
