"""Files of networks on clips in the layouts of BasicSR and mmagic."""

import re

import pytest
import torch

from sr.compose.schema import Zoo
from sr.errors import UserError
from sr.models.basicvsr import BasicVSR
from sr.models.edsr import EDSR
from sr.models.edvr import EDVR
from sr.models.spynet import SPyNet
from sr.runs import checkpoint
from sr.zoo.entries import ENTRIES
from sr.zoo.load import beginning, load
from sr.zoo.video_maps import VIDEO_FAMILIES

FAMILIES = {family.name: family for family in VIDEO_FAMILIES}
SIZES = [{"frames": 5, "tsa": True}, {"frames": 7, "tsa": False}, {"frames": 7, "tsa": True, "groups": 8}]

# Keys as they stand in the authors' files, of every kind that there is.
KNOWN = {
    "BasicVSR": [
        "spynet.basic_module.5.basic_module.8.weight", "backward_trunk.main.0.weight", "fusion.bias",
        "forward_trunk.main.2.1.conv2.bias", "upconv1.weight", "upconv2.bias", "conv_hr.weight", "conv_last.bias",
    ],
    "BasicVSR of mmagic": [
        "spynet.basic_module.5.basic_module.4.conv.weight", "backward_resblocks.main.0.weight", "fusion.bias",
        "forward_resblocks.main.2.1.conv2.bias", "upsample1.upsample_conv.weight", "upsample2.upsample_conv.bias",
        "conv_hr.weight", "conv_last.bias",
    ],
    "EDVR": [
        "conv_first.weight", "feature_extraction.4.conv2.bias", "conv_l2_1.weight", "conv_l3_2.bias",
        "pcd_align.offset_conv1.l3.weight", "pcd_align.offset_conv3.l1.bias", "pcd_align.feat_conv.l2.weight",
        "pcd_align.dcn_pack.l1.conv_offset.weight", "pcd_align.dcn_pack.l3.bias", "pcd_align.cas_offset_conv1.weight",
        "pcd_align.cas_dcnpack.conv_offset.bias", "fusion.temporal_attn1.weight", "fusion.temporal_attn2.bias",
        "fusion.feat_fusion.weight", "fusion.spatial_attn3.bias", "fusion.spatial_attn5.weight",
        "fusion.spatial_attn_l3.weight", "fusion.spatial_attn_add1.weight", "fusion.spatial_attn_add2.bias",
        "reconstruction.0.conv1.weight", "upconv2.weight", "conv_hr.bias", "conv_last.weight",
    ],
    "EDVR of mmagic": [
        "conv_first.weight", "feature_extraction.4.conv2.bias", "feat_l2_conv1.conv.weight", "feat_l3_conv2.conv.bias",
        "pcd_alignment.offset_conv1.l3.conv.weight", "pcd_alignment.offset_conv3.l1.conv.bias",
        "pcd_alignment.feat_conv.l2.conv.weight", "pcd_alignment.dcn_pack.l1.conv_offset.weight",
        "pcd_alignment.dcn_pack.l3.bias", "pcd_alignment.cas_offset_conv1.conv.weight",
        "pcd_alignment.cas_dcnpack.conv_offset.bias", "fusion.temporal_attn1.weight", "fusion.temporal_attn2.bias",
        "fusion.feat_fusion.conv.weight", "fusion.spatial_attn3.conv.bias", "fusion.spatial_attn5.weight",
        "fusion.spatial_attn_l3.conv.weight", "fusion.spatial_attn_add1.conv.weight",
        "fusion.spatial_attn_add2.bias", "reconstruction.0.conv1.weight", "upsample2.upsample_conv.weight",
        "conv_hr.bias", "conv_last.weight",
    ],
}  # fmt: skip


def small(name: str, seed: int = 0, **settings) -> torch.nn.Module:
    torch.manual_seed(seed)
    if name.startswith("BasicVSR"):
        return BasicVSR(num_blocks=2, channels=4).eval()
    return EDVR(**{"num_blocks": 2, "channels": 8, "groups": 2, **settings}).eval()


def theirs(name: str, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {FAMILIES[name].theirs(key, model): value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", KNOWN)
def test_keys_are_those_of_the_authors(name):
    state = theirs(name, small(name))
    assert set(KNOWN[name]) <= set(state) and len(state) == len(small(name).state_dict())
    assert not [key for key in state if "ours" in key]


@pytest.mark.parametrize("settings", SIZES, ids=str)
@pytest.mark.parametrize("name", ["EDVR", "EDVR of mmagic"])
def test_edvr_of_every_kind_comes_back(tmp_path, name, settings):
    model = small(name, **settings)
    wrapped = {f"generator.{key}": value for key, value in theirs(name, model).items()}
    torch.save({"state_dict": wrapped | {"step_counter": torch.zeros(1)}}, tmp_path / "e.pth")
    found = load(str(tmp_path / "e.pth"), tmp_path, range_="own").model
    torch.testing.assert_close(found.state_dict(), model.state_dict())
    assert found.metadata["model"]["frames"] == settings["frames"]
    clip = torch.rand(1, 2, 3, 8, 9)
    with torch.no_grad():
        torch.testing.assert_close(found(clip), model(clip))


@pytest.mark.parametrize("name", ["BasicVSR", "BasicVSR of mmagic"])
@pytest.mark.parametrize("wrap", ["params", "generator"])
def test_basicvsr_comes_back(tmp_path, name, wrap):
    model = small(name)
    state = theirs(name, model) | {"spynet.mean": torch.zeros(1, 3, 1, 1), "spynet.std": torch.ones(1, 3, 1, 1)}
    state = {"params": state} if wrap == "params" else {"state_dict": {f"generator.{k}": v for k, v in state.items()}}
    torch.save(state, tmp_path / "b.pth")
    found = load(str(tmp_path / "b.pth"), tmp_path, range_="own").model
    torch.testing.assert_close(found.state_dict(), model.state_dict())


def test_a_file_without_its_fusion_is_told_as_such(tmp_path):
    state = {k: v for k, v in theirs("EDVR", small("EDVR")).items() if not k.startswith("fusion")}
    torch.save(state, tmp_path / "e.pth")
    with pytest.raises(UserError, match=r"looks like EDVR but is not whole: it lacks 'fusion.weight'"):
        load(str(tmp_path / "e.pth"), tmp_path)


@pytest.mark.parametrize("layout", ["BasicSR", "mmagic"])
def test_spynet_alone_is_where_basicvsr_begins(tmp_path, layout):
    torch.manual_seed(3)
    flow, model, state = SPyNet(), small("BasicVSR"), {}
    for key, value in flow.state_dict().items():
        level, number, kind = re.fullmatch(r"levels\.(\d)\.(\d)\.(\w+)", key).groups()
        own = f"{number}" if layout == "BasicSR" else f"{int(number) // 2}.conv"
        state[f"basic_module.{level}.basic_module.{own}.{kind}"] = value
    file = tmp_path / "spynet.pth"
    torch.save({"params": state} if layout == "BasicSR" else state | {"mean": torch.zeros(1, 3, 1, 1)}, file)
    with pytest.raises(UserError, match=r"is SPyNet alone.*type model=basicvsr init_from=.*spynet.pth"):
        load(str(file), tmp_path)
    content = beginning(str(file), Zoo(dir=str(tmp_path)), 4)
    fresh = {k: v.clone() for k, v in model.state_dict().items()}
    told = checkpoint.warm_start(model, content, {"scale": 4}, file)
    assert told.startswith(f"weights from {file}: 60 of {len(fresh)} tensors; begun afresh: ")
    torch.testing.assert_close(model.flow.state_dict(), flow.state_dict())
    assert all(torch.equal(v, fresh[k]) for k, v in model.state_dict().items() if not k.startswith("flow."))
    with pytest.raises(UserError, match=r"is a part of another network than EDSR"):
        checkpoint.warm_start(EDSR(4, 1, 4), content, {"scale": 4}, file)


def test_the_files_of_basicvsr_are_listed():
    found = {e.name: (e.dataset, e.protocol, e.psnr) for e in ENTRIES if e.model == "basicvsr"}
    assert found == {
        "basicvsr_reds4": ("REDS4", "video_rgb", 31.42), "basicvsr_vimeo_bi": ("Vid4", "video_y", 27.28),
        "basicvsr_vimeo_bd": ("Vid4", "video_y", 27.98),
    }  # fmt: skip
