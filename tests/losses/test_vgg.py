"""VGG-19's features against numpy, and what is said when its weights are not there or not right."""

import shutil

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.losses import VGG19Features, find_vgg19

# Which convolution a name means, counted from 0: written out, not computed as in the module.
ORDER = {"1_1": 0, "1_2": 1, "2_1": 2, "2_2": 3, "3_1": 4, "3_4": 7, "4_1": 8, "5_1": 12, "5_4": 15}


@pytest.mark.parametrize("normalize", [True, False])
def test_features_are_those_of_numpy_before_and_after_the_activation(images, vgg, vgg_file, normalize):
    x = images(2, 3, 17, 20)
    names = [f"{kind}{place}" for place in ORDER for kind in ("conv", "relu")]
    found = VGG19Features(names, str(vgg_file), normalize).double()(x)
    reference = vgg(x.numpy(), 16, normalize)
    close = 1e-6 if normalize else 1e-9  # ImageNet's mean and deviation are kept in float32
    for place, number in ORDER.items():
        for kind, expected in zip(("conv", "relu"), reference[number], strict=True):
            value = found[f"{kind}{place}"].numpy()
            np.testing.assert_allclose(value, expected, rtol=close, atol=close * np.abs(expected).max())
    assert (found["conv5_4"] < 0).any() and not (found["relu5_4"] < 0).any()


def test_one_channel_goes_into_all_three(images, vgg_file):
    features, luma = VGG19Features(["relu2_2"], str(vgg_file)), images(1, 1, 8, 8).float()
    torch.testing.assert_close(features(luma), features(luma.expand(-1, 3, -1, -1)))


def test_nothing_deeper_than_asked_for_is_held(vgg_file):
    held = dict(VGG19Features(["relu2_2", "conv1_1"], str(vgg_file)).named_buffers())
    assert {k for k in held if k.startswith("conv")} == {
        f"conv{place}_{kind}" for place in ("1_1", "1_2", "2_1", "2_2") for kind in ("weight", "bias")
    }


def test_it_is_frozen_and_in_no_checkpoint(images, vgg_file):
    features = VGG19Features(["relu1_2"], str(vgg_file))
    assert not features.state_dict() and not list(features.parameters())
    assert not any(b.requires_grad for b in features.buffers())
    assert not torch.nn.Sequential(features).train()[0].training
    x = images(1, 3, 4, 4).float().requires_grad_()
    features(x)["relu1_2"].sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("layers", [["relu6_1"], ["relu1_1", "pool5"], []])
def test_unknown_layers_are_refused(layers, vgg_file):
    with pytest.raises(UserError, match="its layers are conv1_1, relu1_1"):
        VGG19Features(layers, str(vgg_file))


def test_images_too_small_for_a_layer_are_refused(vgg_file):
    with pytest.raises(UserError, match="16x16 or more"):
        VGG19Features(["relu5_1"], str(vgg_file))(torch.zeros(1, 3, 15, 40))


def test_a_missing_file_is_named_with_its_place_its_address_and_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    kept = tmp_path / "torch_home" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    for weights, looked in ((None, kept), (str(tmp_path / "nowhere.pth"), tmp_path / "nowhere.pth")):
        with pytest.raises(UserError) as error:
            VGG19Features(["relu1_1"], weights)
        for part in (str(looked), "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "vgg_weights=PATH"):
            assert part in str(error.value)


def test_torchvisions_place_is_where_it_is_found_without_a_path(tmp_path, monkeypatch, vgg_file):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    kept.parent.mkdir(parents=True)
    shutil.copy(vgg_file, kept)
    assert find_vgg19() == kept
    assert VGG19Features(["relu1_1"]).layers == ("relu1_1",)


def bad_files(state):
    few = {k: v for k, v in state.items() if k in ("features.0.weight", "features.0.bias")}
    yield "another network", {"conv.weight": torch.zeros(3)}, "features.0.weight should be a tensor"
    yield "the beginning alone", few, "features.2.weight should be a tensor"
    yield (
        "other widths",
        {**state, "features.34.weight": torch.zeros(512, 256, 3, 3)},
        r"is a tensor \(512, 256, 3, 3\)",
    )
    yield "whole numbers", {**state, "features.0.bias": torch.zeros(64, dtype=torch.long)}, "features.0.bias"
    yield "a list", [1, 2], "features.0.weight"


@pytest.mark.parametrize("case", range(5))
def test_a_file_of_something_else_is_refused(tmp_path, vgg_state, case):
    _, content, said = list(bad_files(vgg_state))[case]
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UserError, match=said):
        VGG19Features(["relu1_1"], str(tmp_path / "other.pth"))


def test_a_file_that_holds_code_or_no_tensors_is_refused(tmp_path):
    torch.save({"features.0.weight": print}, tmp_path / "code.pth")
    (tmp_path / "text.pth").write_text("<html>not found</html>")
    (tmp_path / "empty.pth").touch()
    for name in ("code", "text", "empty"):
        with pytest.raises(UserError, match="is no weight file"):
            VGG19Features(["relu1_1"], str(tmp_path / f"{name}.pth"))
