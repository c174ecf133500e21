"""What `sr.load` and `sr.upscale` take and give back."""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photo
from PIL import Image

import sr
from sr.deploy.enlarger import Enlarger
from sr.errors import UserError
from sr.imaging.color import to_array
from sr.imaging.photo import Photo
from sr.models.mdsr import MDSR
from sr.runs import checkpoint


@pytest.fixture
def model(network):
    return sr.load(network)


def test_a_tensor_gives_what_the_network_gives(model, network):
    lr = torch.rand(2, 3, 9, 7)
    assert torch.equal(model(lr), checkpoint.load(network)(lr)) and model(lr).requires_grad
    assert torch.equal(model(lr[0]), model(lr[:1])[0])
    eight = (lr * 255).to(torch.uint8)
    assert model(eight).dtype == torch.uint8 and model(eight).shape == (2, 3, 18, 14)
    assert model.scales == (2,) and copy.deepcopy(model)(lr).shape == (2, 3, 18, 14)


def test_other_weights_are_used_everywhere(model):
    pixels, other = photo(10, 12), copy.deepcopy(model.model.state_dict())
    before = model(pixels)
    for key, value in other.items():
        if key.endswith("weight"):
            value.zero_()
    model.load_state_dict(other)
    after = model(pixels)
    right = to_array(model(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255).detach())
    assert not np.array_equal(after, before) and np.abs(after.astype(int) - right).max() <= 1
    assert model.deployed(2) is model.deployed(2)


def test_every_kind_of_image_gives_its_own_kind(model, network, tmp_path):
    pixels = photo(10, 12)
    with torch.inference_mode():
        right = to_array(checkpoint.load(network)(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255))

    def close(a, b, most=1.01):
        return a.shape == b.shape and np.abs(a.astype(np.float64) - b).max() <= most

    assert close(model(pixels), right) and model(pixels).dtype == np.uint8
    assert close(model(pixels.astype(np.uint16) * 257) / 257, right)
    for kind in (np.float16, np.float32, np.float64):
        found = model((pixels / 255).astype(kind))
        assert found.dtype == kind and close(found * 255, right, 2) and 0 <= found.min() <= found.max() <= 1
    assert model(pixels[..., 0]).shape == (20, 24) and model(pixels[..., :1]).shape == (20, 24, 1)
    assert (model(np.dstack([pixels, np.full((10, 12), 255, np.uint8)]))[..., 3] == 255).all()
    image = model(Image.fromarray(pixels))
    assert isinstance(image, Image.Image) and close(np.asarray(image), right)
    assert model(Image.fromarray(pixels[..., 0])).mode == "L"
    assert model(Image.fromarray(pixels[..., 0].astype(np.uint16))).mode == "I;16"
    Image.fromarray(pixels).save(tmp_path / "p.png")
    made = model(tmp_path / "p.png")
    assert made == tmp_path / "p_x2.png" and close(np.asarray(Image.open(made)), right)
    with pytest.raises(UserError, match="there already"):
        model(str(tmp_path / "p.png"))


def test_an_image_is_enlarged_in_one_call_and_in_threads(network, model):
    images = [photo(8, 8, seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda image: sr.upscale(image, 2, model=network), images))
    assert all(np.array_equal(a, model(b)) for a, b in zip(found, images, strict=True))
    assert sr.upscale(images[0], model=str(network), outscale=1.5, self_ensemble=True).shape == (12, 12, 3)
    other = checkpoint.load(network)
    torch.nn.init.zeros_(next(p for name, p in other.named_parameters() if name.endswith("weight")))
    torch.save({"state_dict": other.state_dict(), "sr": other.metadata}, network)
    assert not np.array_equal(sr.upscale(images[0], model=network), found[0])  # the file is another one


def test_tiles_and_other_depths_make_the_same_picture(model):
    pixels = photo(24, 30)
    given = Photo(pixels, np.where(np.arange(30) < 12, 0, 255).astype(np.uint8)[None].repeat(24, 0))
    shares: list[float] = []
    whole, tiled = (model.photo(given, model.how(tile=tile), seen=shares.append) for tile in (None, 16))
    assert len(shares) > 2 and shares[0] == 1 and sum(shares) == pytest.approx(2)
    assert tiled.tiled and not whole.tiled
    for how in ({"outscale": 1.5}, {}):  # in one piece at last, and in one strip
        assert model.photo(given, model.how(tile=24, **how)).tiled and not model.photo(given, model.how(**how)).tiled
    difference = np.abs(whole.photo.planes().astype(int) - tiled.photo.planes())
    assert difference.max() <= 1
    bright = Photo(pixels / np.float32(64), given.alpha / np.float32(255))  # up to 4
    found = model.photo(bright, model.how()).photo
    assert found.white > 3 and found.alpha.min() == 0 and found.alpha.max() == 1
    small = model.photo(bright, model.how(), np.dtype(np.uint8)).photo
    assert np.array_equal(small.alpha[:, 40:], np.full((48, 20), 255)) and small.colour.max() == 255


def test_the_scale_that_a_network_was_loaded_for_is_each_picture_s(tmp_path):
    """It was looked at and forgotten: "none was given"."""
    model = Enlarger(MDSR([2, 3], num_blocks=1, channels=4).eval(), scale=3)
    lr = torch.rand(1, 3, 8, 9)
    assert model(lr).shape[-2:] == (24, 27) and model(lr, scale=2).shape[-2:] == (16, 18)


def test_a_picture_far_below_its_white_is_told(model, caplog):
    """A lamp in a picture of floats, 12 bits in one of 16: the network drew a grid, and nobody was told."""
    lamp = photo(24, 30) / np.float32(255)
    model(lamp), model((lamp * 65535).astype(np.uint16))
    assert "nearly black" not in caplog.text
    lamp[3, 4] = 40
    for dim in (lamp, (lamp.clip(0, 1) * 4095).astype(np.uint16)):
        caplog.clear()
        model(dim)
        assert "95 are below" in caplog.text and "nearly black" in caplog.text


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        (np.zeros((8, 8, 3), np.int64), "an array is"),
        (np.zeros((8, 8, 5), np.uint8), "an array is"),
        (np.zeros((0, 8, 3), np.uint8), "holds no pixels"),
        (np.full((8, 8, 3), np.nan), "NaN or infinite"),
        (torch.zeros(1, 3, 8, 0), "holds no pixels"),
        (torch.full((1, 3, 8, 8), 255.0), "reaches 255: divide it, as by 255"),
        (np.full((8, 8, 3), 200.0), r"an array of floats is in \[0, 1\], and this one reaches 200: divide it by white"),
        (torch.zeros(1, 1, 8, 8), "a tensor is"),
        (torch.zeros(1, 3, 8, 8).to_sparse(), "not a sparse, a meta or a quantised one"),
        (torch.zeros(1, 3, 8, 8, device="meta"), "not a sparse, a meta"),
        (np.ma.masked_array(np.zeros((8, 8, 3), np.uint8)), r"no mask: fill it, as by image\.filled"),
        (3, "an image is a path"),
        (Path("nowhere.png"), "does not exist"),
    ],
)
def test_what_is_no_image_is_refused(model, image, hint):
    with pytest.raises(UserError, match=hint):
        model(image)


def test_odd_types_of_numbers_and_arrays_are_taken(model):
    lr = torch.rand(1, 3, 9, 8)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        made = model(lr.to(dtype))
        assert made.dtype == dtype and torch.allclose(made.float(), model(lr), atol=0.05)
    pixels = photo(9, 8)
    assert np.array_equal(model(pixels.astype(">u2")), model(pixels.astype(np.uint16)))
    matrix = np.asmatrix(pixels[..., 0])  # it ended the process
    assert np.array_equal(model(matrix), model(pixels[..., 0]))
    assert np.array_equal(model(pixels, scale=2.0), sr.upscale(pixels, model=model))
    with pytest.raises(UserError, match="outscale='2': a number is wanted"):
        model(pixels, outscale="2")
    with pytest.raises(UserError, match=r"model=3: wanted is .*, or what sr\.load gives"):
        sr.upscale(pixels, model=3)


def test_a_film_and_an_empty_name_are_answered(model, tmp_path):
    film = tmp_path / "a film.mp4"
    film.write_bytes(b"anything")
    with pytest.raises(UserError, match=r"is a film: to enlarge it, type  sr upscale 'input=\S*/a film.mp4'"):
        model(film)
    for enlarge in (sr.load, lambda name: sr.upscale(photo(8, 8), model=name)):
        with pytest.raises(UserError, match="name is empty"):
            enlarge("")


def test_a_scale_that_the_network_does_not_serve_is_refused_when_it_is_loaded(network):
    """It was passed over, and pictures came out twice as large where four times was asked for."""
    assert sr.load(network, scale=2).scales == (2,)
    with pytest.raises(UserError, match="serves scale 2, asked was 4"):
        sr.load(network, scale=4)
