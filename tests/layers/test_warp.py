"""Features along a flow against their equation, pixel by pixel."""

import naive
import pytest
import torch
from torch.overrides import TorchFunctionMode

from sr.layers.warp import warp, warp_images

SIZES = [(5, 7), (8, 3), (1, 6), (6, 1), (1, 1)]


def moved(size: tuple[int, int], right: float, down: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor([right, down], dtype=dtype).view(1, 2, 1, 1).expand(2, 2, *size)


@pytest.mark.parametrize("width", [1, 320, 1920])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_no_flow_gives_the_features_to_the_last_bit(width, kind, autocast):
    x = torch.randn(2, 4, 6, width).to(kind)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = warp(x, torch.zeros(2, 2, 6, width))
        from_half = warp(x, torch.zeros(2, 2, 6, width, dtype=torch.bfloat16))
    assert out.dtype == from_half.dtype == kind
    assert torch.equal(out, x) and torch.equal(from_half, x)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-2, 3), (3, -1), (0, -5), (400, 0), (-1000, 2)])
def test_whole_pixels_shift_exactly_and_bring_zeros_in(kind, right, down):
    x = torch.randn(2, 3, 5, 320).to(kind)
    expected = torch.zeros_like(x)
    for row in range(max(0, -down), min(5, 5 - down)):
        columns = slice(max(0, -right), max(0, min(320, 320 - right)))
        expected[:, :, row, columns] = x[:, :, row + down, columns.start + right : max(0, columns.stop + right)]
    assert torch.equal(warp(x, moved((5, 320), right, down, torch.float32)), expected)


def test_half_a_pixel_is_the_mean_of_two():
    x = torch.randn(2, 3, 4, 1920)
    out = warp(x, moved((4, 1920), 0.5, 0, torch.float32))
    torch.testing.assert_close(out[..., :-1], (x[..., :-1] + x[..., 1:]) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(out[..., -1], x[..., -1] / 2, rtol=0, atol=1e-6)
    out = warp(x, moved((4, 1920), 0, -0.5, torch.float32))
    torch.testing.assert_close(out[..., 1:, :], (x[..., :-1, :] + x[..., 1:, :]) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reach", [0.4, 3.0])
def test_the_equation(size, reach):
    x, flow = torch.randn(2, 3, *size, dtype=torch.float64), reach * torch.randn(2, 2, *size, dtype=torch.float64)
    for move, border in ((warp, False), (warp_images, True)):
        expected = torch.from_numpy(naive.warp(x.numpy(), flow.numpy(), border))
        torch.testing.assert_close(move(x, flow), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_gradients(size):
    x, flow = torch.randn(1, 2, *size, dtype=torch.float64), torch.rand(1, 2, *size, dtype=torch.float64)
    flow = 2 * flow.round() - 1.9 + 0.8 * flow  # within 0.1 of no whole pixel, where the slope jumps
    assert torch.autograd.gradcheck(warp, (x.requires_grad_(), flow.requires_grad_()))


class Grids(TorchFunctionMode):
    """The grids that are sampled."""

    def __init__(self) -> None:
        self.kinds: set[torch.dtype] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.grid_sample:
            self.kinds.add(args[1].dtype)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("move", [warp, warp_images])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_grids_are_float32_under_autocast(move, kind):
    x, flow = torch.randn(2, 3, 4, 1920), torch.randn(2, 2, 4, 1920)
    flow = flow.to(kind)
    with torch.autocast("cpu", torch.bfloat16), Grids() as grids:
        got = move(x, flow)
    assert grids.kinds == {torch.float32}
    torch.testing.assert_close(got, move(x, flow.float()), rtol=0, atol=1e-6)
