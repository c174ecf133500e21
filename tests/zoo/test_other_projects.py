"""Every map of another project's file is held against a plain evaluation of that project's network."""

from contextlib import suppress

import pytest
import torch
from other_projects import (
    Case,
    State,
    cases,
    edsr_pytorch,
    lornatang,
    mdsr_naive,
    mdsr_pytorch,
    vdsr,
    vdsr_naive,
)  # fmt: skip

from sr.errors import UserError
from sr.forms.for_spandrel import for_spandrel
from sr.imaging.color import rgb_to_y
from sr.imaging.resize import imresize
from sr.zoo.families import build, recognise
from sr.zoo.load import FAMILIES, load
from sr.zoo.trial import Trial

ATOL = 2e-4  # of [0, 1], where sums run to some tens


@pytest.fixture(autouse=True)
def small_photo(monkeypatch):
    """Random weights need no large photo to be told apart."""
    monkeypatch.setattr("sr.zoo.trial.SIDE", 24)


def written(state: State, path) -> str:
    torch.save(state, path)
    return str(path)


def picture() -> torch.Tensor:
    """(1, 3, 17, 19) around a middle grey: enlarged by bicubic its luma stays within BT.601's range."""
    return 0.3 + 0.4 * torch.rand(1, 3, 17, 19)


def network(loaded, x: torch.Tensor, scale: int) -> torch.Tensor:
    """What the loaded network makes of RGB, or of its luma."""
    model = loaded.model
    if model.colors == 1:
        x = rgb_to_y(x)
        return model._returned(model.network(model._given(x), scale))
    return model(x, scale)


@pytest.mark.parametrize("case", [*cases()])
@torch.no_grad()
def test_a_file_gives_what_its_project_computes(case: Case, tmp_path):
    torch.manual_seed(3)
    state = case.state()
    if case.parameters is not None:
        learnt = {k: v for k, v in state.items() if not k.endswith(("running_mean", "running_var", "tracked"))}
        assert sum(v.numel() for v in learnt.values()) == case.parameters
    found = load(
        written(state, tmp_path / "some.pth"),
        tmp_path,
        None if case.told else case.scale,
        range_=case.typed,
        order="rgb",
    )
    family, _ = recognise({k.removeprefix("model."): v for k, v in state.items()}, FAMILIES, "")
    assert family.name == case.family and found.model.scales == (case.scale,)
    x = picture()
    seen = rgb_to_y(x) if found.model.colors == 1 else x
    wanted = case.naive(state, seen)
    got = network(found, x, case.scale)
    got = got.clamp(0, 1) if case.family == "SRResNet of Lornatang" else got  # which is cut by its network
    assert wanted.shape[-1] == case.scale * 19 and wanted.std() > 0.01
    torch.testing.assert_close(got, wanted, atol=ATOL * float(wanted.abs().max().clamp(min=1)), rtol=1e-3)


@torch.no_grad()
def test_mdsr_serves_the_scales_in_its_files_order(tmp_path):
    torch.manual_seed(0)
    state = mdsr_pytorch(2, 8, (3, 2, 4))
    loaded = load(written(state, tmp_path / "mdsr.pt"), tmp_path, range_="own")
    assert loaded.model.scales == (3, 2, 4)
    x = picture()
    for place, scale in enumerate((3, 2, 4)):
        wanted = mdsr_naive(state, x, scale, place)
        torch.testing.assert_close(loaded.model(x, scale), wanted, atol=ATOL * float(wanted.abs().max()), rtol=1e-3)
    assert load(str(tmp_path / "mdsr.pt"), tmp_path, 2, range_="own").model.scales == (3, 2, 4)
    with pytest.raises(UserError, match=r"scale=8: .* is of scale 3, 2, 4"):
        load(str(tmp_path / "mdsr.pt"), tmp_path, 8, range_="own")


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3])
def test_vdsr_without_biases_is_told_its_scale(scale, tmp_path):
    state = vdsr(20, 64)
    assert sum(v.numel() for v in state.values()) == 664704
    path = written(state, tmp_path / "model_epoch_50.pth")
    with pytest.raises(UserError, match="type scale="):
        load(path, tmp_path, range_="own")
    loaded = load(path, tmp_path, scale, range_="own")
    x = torch.rand(1, 3, 9, 8)  # its luma leaves BT.601's range once enlarged, and is not cut
    y = rgb_to_y(x)
    torch.testing.assert_close(
        loaded.model.network(y, scale), vdsr_naive(state, imresize(y, scale)), atol=1e-4, rtol=1e-4
    )


def test_what_is_not_as_the_project_has_it_is_told(tmp_path):
    state = edsr_pytorch(2, 8, 2)
    state["sub_mean.bias"] = -255 * torch.tensor((0.5, 0.5, 0.5))
    with pytest.raises(UserError, match=r"(?s)refused.*DIV2K's mean colour.*sub_mean\.bias"):
        load(written(state, tmp_path / "grey.pt"), tmp_path, range_="own")
    case = next(p.values[0] for p in cases() if p.id == "ECBSR of BasicSR")
    state = case.state()
    state["backbone.1.conv1x1_sby.mask"] *= 2
    with pytest.raises(UserError, match=r"backbone\.1\.conv1x1_sby\.mask is no Sobel"):
        load(written(state, tmp_path / "masks.pt"), tmp_path, range_="own")
    state = lornatang(2, 8, 2)
    del state["conv3.bias"], state["trunk.1.rcb.1.running_var"]
    with pytest.raises(UserError, match=r"Missing \(2\): conv3\.bias, trunk\.1\.rcb\.1\.running_var"):
        load(written(state, tmp_path / "part.pth"), tmp_path, range_="own")
    pictures = {f"features.{n}.weight": torch.zeros(4, 3 if n == 0 else 4, 3, 3) for n in (0, 2, 5)}
    with pytest.raises(UserError, match="of no architecture that the zoo knows"):
        load(written(pictures, tmp_path / "vgg.pth"), tmp_path)


def test_what_no_file_tells_is_taken_as_the_photo_tells(monkeypatch, tmp_path, caplog):
    """Residuals of 64 channels are scaled by 1 in the paper, by 0.1 in others' training."""
    caplog.set_level("INFO")
    path = written(edsr_pytorch(2, 8, 2), tmp_path / "scaled.pt")

    def tried(best):
        return lambda model, *_: Trial("0-255 RGB", None, 30.0 if model.body[0].res_scale == best else 12.0, 27.0)

    for best, proved in ((1.0, True), (0.1, True), (0.5, False)):
        monkeypatch.setattr("sr.zoo.load.try_out", tried(best))
        if not proved:
            with pytest.raises(UserError, match="is another network"):
                load(path, tmp_path)
            continue
        loaded = load(path, tmp_path)
        assert loaded.model.body[0].res_scale == best == loaded.model.metadata["model"]["res_scale"]
        assert ("does better with res_scale=0.1" in caplog.text) == (best == 0.1) and loaded.name == "scaled"


@torch.no_grad()
def test_trained_weights_in_another_projects_layout_are_the_same_network(tmp_path, monkeypatch):
    """What travels with the package is a compact network; it is proved on the photo under that project's names."""
    monkeypatch.setattr("sr.zoo.trial.SIDE", 240)
    ours = load("plain_m10c32_x4", tmp_path).model
    loaded = load(written({"params_ema": for_spandrel(ours)}, tmp_path / "small.pth"), tmp_path)
    x = picture()
    assert loaded.name == "small" and loaded.model.reads is None
    torch.testing.assert_close(loaded.model(x), ours.merged()(x))


@pytest.mark.shared
@torch.no_grad()
def test_the_authors_rlfn_in_the_challenges_layout(shared, tmp_path, monkeypatch):
    monkeypatch.setattr("sr.zoo.trial.SIDE", 240)
    state = torch.load(shared / "weights/rlfn/rlfn_ntire_x4.pth", "cpu", weights_only=True)
    names = {"conv_1.": "fea_conv.", "conv_2.": "LR_conv.", "block_": "B"}
    for a, b in names.items():
        state = {b + key.removeprefix(a) if key.startswith(a) else key: value for key, value in state.items()}
    loaded = load(written(state, tmp_path / "team04_rlfn.pth"), tmp_path)
    x = picture()
    assert loaded.name == "team04_rlfn" and "B4.c3_r.weight" in state
    torch.testing.assert_close(loaded.model(x), load("rlfn_ntire_x4", shared / "weights").model(x))


@pytest.mark.slow
@pytest.mark.parametrize("case", list(cases()))
def test_tensors_of_another_rank_are_refused_in_words(case):
    """Right keys with a tensor of no dimension, or flat, which a layer may take where it has as many values."""
    state = case.state()
    for key in dict.fromkeys([*list(state)[:3], *list(state)[-2:]]):
        for wrong in (torch.tensor([]), torch.tensor(3.0), state[key].flatten(), state[key][None]):
            changed = {**state, key: wrong}
            with suppress(UserError) if wrong.numel() else pytest.raises(UserError):
                family, node = recognise(changed, FAMILIES, "some.pth")
                build(family, {**node, "scale": node.get("scale") or case.scale}, changed, "some.pth")
