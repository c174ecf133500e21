"""imresize against a plain double loop, hand-made roundings, MATLAB's own files, autograd and torch.export."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.imaging import resize
from sr.imaging.files import read_image
from sr.imaging.resize import imresize


def keys(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def naive_line(line: np.ndarray, out: int, scale: float, edge: str) -> np.ndarray:
    n, shrink = len(line), min(scale, 1.0)
    result = np.zeros(out)
    for i in range(out):
        centre = (i + 0.5) / scale - 0.5
        total = weight = 0.0
        reach = math.ceil(2 / shrink) + 1
        for j in range(math.floor(centre) - reach, math.floor(centre) + reach + 1):
            w = keys(shrink * (centre - j))
            k = j
            while not 0 <= k < n:  # walk back inside, one reflection (or clamp) at a time
                k = (-1 - k if k < 0 else 2 * n - 1 - k) if edge == "mirror" else min(max(k, 0), n - 1)
            total, weight = total + w * line[k], weight + w
        result[i] = total / weight
    return result


def naive(x: np.ndarray, out: tuple[int, int], scales: tuple[float, float], edge: str) -> np.ndarray:
    x = np.stack([naive_line(column, out[0], scales[0], edge) for column in x.T], 1)
    return np.stack([naive_line(row, out[1], scales[1], edge) for row in x])


@pytest.mark.parametrize("edge", ["mirror", "replicate"])
@pytest.mark.parametrize("scale", [2, 3, 4, 8, 1 / 2, 1 / 3, 1 / 4, 1 / 8, 1.5, 2 / 3, 0.75, 2.7182818, 0.3719])
@pytest.mark.parametrize("shape", [(11, 7), (3, 13), (1, 2)])
def test_equals_the_formula(shape, scale, edge):
    x = np.random.default_rng(0).random(shape)
    out = tuple(math.ceil(scale * n - 1e-9) for n in shape)
    y = imresize(torch.from_numpy(x), scale, edge=edge)
    assert tuple(y.shape) == out
    np.testing.assert_allclose(y.numpy(), naive(x, out, (scale, scale), edge), atol=1e-12)


@pytest.mark.parametrize("edge", ["mirror", "replicate"])
@pytest.mark.parametrize("size", [(5, 20), (22, 3), (9, 9), (11, 7), (13, 23)])
def test_size_gives_each_side_its_own_factor(size, edge):
    x = np.random.default_rng(1).random((11, 7))
    y = imresize(torch.from_numpy(x), size=size, edge=edge)
    np.testing.assert_allclose(y.numpy(), naive(x, size, (size[0] / 11, size[1] / 7), edge), atol=1e-12)


def test_leading_dimensions_are_independent():
    x = torch.rand(2, 4, 3, 9, 10, dtype=torch.float64)
    y = imresize(x, 1 / 2)
    assert y.shape == (2, 4, 3, 5, 5)
    torch.testing.assert_close(y[1, 2, 0], imresize(x[1, 2, 0], 0.5))


def test_bytes_round_half_up_after_each_pass():
    flat = torch.full((6, 6), 7, dtype=torch.uint8)
    assert (imresize(flat, 0.5) == 7).all()
    # By mirroring, reducing two pixels to one always gives their mean: (0 + 1) / 2 = 0.5 -> 1.
    column = torch.tensor([[0], [1]], dtype=torch.uint8)
    assert imresize(column, size=(1, 1)).item() == 1
    # Rounded per pass: columns (0, 1) and (0, 0) become 1 and 0, whose mean 0.5 becomes 1; at once, 0.25 -> 0.
    square = torch.tensor([[0, 0], [1, 0]], dtype=torch.uint8)
    assert imresize(square, 0.5).item() == 1
    assert imresize(square, 0.5, quantize_intermediate=False).item() == 0


def test_bytes_clip_instead_of_wrapping():
    x = torch.zeros(8, 8, dtype=torch.uint8)
    x[:, 4:] = 255
    y = imresize(x, 4)
    assert y.dtype == torch.uint8 and y[:, :12].max() < 128 and y[:, 20:].min() > 128


@pytest.mark.parametrize("scale", [2, 1 / 4, 0.37])
def test_bytes_equal_rounded_passes_of_the_formula(scale):
    x = np.random.default_rng(2).integers(0, 256, (13, 9))
    out = tuple(math.ceil(scale * n) for n in x.shape)
    half_up = lambda v: np.floor(v + 0.5).clip(0, 255)  # noqa: E731
    first = half_up(np.stack([naive_line(c, out[0], scale, "mirror") for c in x.T], 1))
    both = half_up(np.stack([naive_line(r, out[1], scale, "mirror") for r in first]))
    assert (imresize(torch.from_numpy(x).to(torch.uint8), scale).numpy() == both).all()


def exact(x: np.ndarray, out: int, scale: Fraction) -> np.ndarray:
    """Rows resized in whole numbers, with no rounding but that of the result, half up."""
    shrink, n = min(scale, Fraction(1)), x.shape[1]
    weights = [[Fraction(0)] * n for _ in range(out)]
    for i in range(out):
        centre = (i + Fraction(1, 2)) / scale - Fraction(1, 2)
        for j in range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1):
            d = abs(shrink * (centre - j))
            w = (3 * d**3 - 5 * d**2 + 2) / 2 if d <= 1 else (-(d**3) + 5 * d**2 - 8 * d + 4) / 2 if d <= 2 else 0
            weights[i][min(j % (2 * n), 2 * n - 1 - j % (2 * n))] += w
    totals = [sum(row) for row in weights]
    weights = [[w / total for w in row] for row, total in zip(weights, totals, strict=True)]
    unit = math.lcm(*(w.denominator for row in weights for w in row))
    sums = x @ np.array([[int(w * unit) for w in row] for row in weights]).T
    return ((2 * sums + unit) // (2 * unit)).clip(0, 255)


@pytest.mark.parametrize("on_host", [True, False])
@pytest.mark.parametrize("scale", [2, 3, 4, 1 / 2, 1 / 3, 1 / 4, 1 / 8, 1 / 5, 1 / 6, 1 / 7, 1 / 12, 1.5])
def test_bytes_are_those_of_exact_arithmetic(scale, on_host, monkeypatch):
    """In float32 too, where it is used: by products on the processor and by sums on a device."""
    if not on_host:
        monkeypatch.setattr(resize, "plain", lambda x: None)
    assert resize._float32_serves(scale) == (scale not in (1 / 6, 1 / 7, 1 / 12, 1.5))
    width = 24 if scale > 1 else round(24 / scale)
    generator = np.random.default_rng(3)
    noise = generator.integers(0, 256, (100, width))
    extreme = generator.integers(0, 2, (100, width)) * 255  # black and white: the largest sums
    x = np.concatenate((noise, extreme, noise // 32, 128 + noise // 128))
    out = round(width * scale)
    y = imresize(torch.from_numpy(x).to(torch.uint8), size=(len(x), out)).numpy()
    wrong = y != exact(x, out, Fraction(scale).limit_denominator(16))
    # 1/6 and 1/12 have sums that end in exactly .5, which rounding errors of any type of number send either way.
    assert wrong.mean() < (1e-3 if scale in (1 / 6, 1 / 12, 1.5) else 1e-9)


def test_pixels_as_files_have_them_give_the_same():
    x = torch.randint(0, 256, (2, 13, 18, 3), dtype=torch.uint8)
    for one in (x, x[0], x / 255):
        view = one.movedim(-1, -3)
        assert torch.equal(imresize(view, 1 / 2), imresize(view.contiguous(), 1 / 2))


def test_pixels_of_four_bytes_give_the_same_wherever_they_begin():
    words = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 26, 33, 4), np.uint8))
    for first in (0, 1):
        x = words[..., first : first + 3].permute(0, 3, 1, 2)
        for factor in (1 / 2, 1 / 3, 2):
            assert torch.equal(imresize(x, factor), imresize(x.contiguous(), factor))


def test_one_result_with_and_without_a_gradient():
    x = torch.rand(3, 40, 37)
    for scale in (2, 1 / 3, 0.37, 1.7):
        traced = imresize(x.requires_grad_(), scale)
        torch.testing.assert_close(imresize(x.detach(), scale), traced.detach(), rtol=0, atol=2e-6)
        with torch.no_grad():
            assert not imresize(x, scale).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types_are_kept_and_computed_wide(dtype):
    x = torch.rand(3, 8, 8).to(dtype)
    y = imresize(x, 2)
    assert y.dtype == dtype
    torch.testing.assert_close(
        y, imresize(x.double(), 2).to(dtype), rtol=1e-2 if dtype.itemsize == 2 else 1e-5, atol=1e-5
    )


@pytest.mark.parametrize("scale", [2, 1 / 2, 0.61])
def test_gradient(scale):
    x = torch.rand(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: imresize(t, scale), (x,))


@pytest.mark.skipif(torch.__version__ < "2.13", reason="torch 2.11 cannot prove what 2.13 can")
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_export_with_symbolic_sides(scale):
    class Up(torch.nn.Module):
        def forward(self, x):
            return imresize(x, scale)

    sides = {2: torch.export.Dim("h", min=2, max=4096), 3: torch.export.Dim("w", min=2, max=4096)}
    program = torch.export.export(
        Up(), (torch.rand(2, 3, 8, 9),), dynamic_shapes=({0: torch.export.Dim("b"), **sides},)
    )
    for shape in [(1, 3, 12, 17), (3, 3, 2, 5)]:
        x = torch.rand(shape)
        torch.testing.assert_close(program.module()(x), imresize(x, scale))


def test_compiles_without_a_break():
    up = torch.compile(lambda x: imresize(x, 2), fullgraph=True, backend="eager")
    for x in (torch.rand(1, 3, 6, 7), torch.randint(0, 256, (1, 3, 6, 7), dtype=torch.uint8)):
        torch.testing.assert_close(up(x), imresize(x, 2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either scale or size"),
        ({"scale": 2, "size": (4, 4)}, "either scale or size"),
        ({"scale": 0}, "positive"),
        ({"scale": float("nan")}, "positive"),
        ({"size": (0, 3)}, "positive"),
        ({"scale": 2, "edge": "wrap"}, "mirror, replicate"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(UserError, match=words):
        imresize(torch.rand(3, 4, 4), **arguments)


@pytest.mark.parametrize("x", [torch.zeros(3, 4, 4, dtype=torch.int32), torch.rand(4), torch.rand(3, 0, 4)])
def test_wrong_images(x):
    with pytest.raises(UserError):
        imresize(x, 2)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "edge", "count"), [("LR_bicubic", "mirror", 20), ("LR_bicubic_old", "replicate", 177)]
)
def test_equals_every_file_made_by_matlab(shared: Path, folder: str, edge: str, count: int):
    files = sorted((shared / "data" / "benchmarks").glob(f"*/{folder}/X*/*.png"))
    assert len(files) == count
    different = []
    for file in files:
        scale, dataset = int(file.parent.name[1:]), file.parents[2]
        (source,) = (dataset / "HR").glob(file.stem.removesuffix(f"x{scale}") + ".*")
        # B100's HR are JPEG: equal LR also means that they are decoded as MATLAB did
        hr, lr = (torch.from_numpy(read_image(p).pixels).movedim(-1, 0) for p in (source, file))
        hr = hr[..., : hr.shape[-2] // scale * scale, : hr.shape[-1] // scale * scale]
        in_one = dataset.name == "Set5" and scale == 8  # made without rounding between the passes
        if not torch.equal(imresize(hr, 1 / scale, edge=edge, quantize_intermediate=not in_one), lr):
            different.append(str(file))
    assert different == []
