"""Which published figures stand beside what is measured."""

from types import SimpleNamespace

import hydra
import pytest
from omegaconf import OmegaConf
from PIL import Image

from sr.compose import schema
from sr.compose.conf import CONF
from sr.data.div2k import Div2k
from sr.data.folder import Folder
from sr.degradation import Degradation, GaussianNoise, MatlabBicubic
from sr.errors import UserError
from sr.measuring.entries import paper_of
from sr.measuring.papers import Entry, papers_figures, refuse_own_lr
from sr.metrics.protocols import get_protocol
from sr.models.basicvsr import BasicVSR
from sr.models.bicubic import Bicubic
from sr.models.edvr import EDVR
from sr.models.srresnet import SRResNet
from sr.scores.published import IMAGES
from sr.scores.same_images import unlike_papers
from sr.scores.score import Score


@pytest.mark.parametrize(("name", "mirrored"), [("basicvsr_vimeo_bi", True), ("edvr_l_vimeo_bi", False)])
def test_clips_are_mirrored_or_not_as_the_published_figure_s_were(name, mirrored, caplog):
    """BasicVSR's on Vimeo-90K is of 7 frames mirrored to 14."""
    network = BasicVSR(num_blocks=1, channels=4) if mirrored else EDVR(num_blocks=1, channels=8, groups=2)
    for mirror in (False, True):
        data = SimpleNamespace(degradation=SimpleNamespace(steps=[MatlabBicubic(4)]), mirror=mirror)
        data.opened, data.strange = lambda part: None, lambda stored: []
        for entry, known in ((Entry("ours", network, name), mirror == mirrored), (Entry("bicubic", Bicubic(4)), True)):
            score = Score(entry.name, "Vimeo90K", 4, "video_centre", "psnr", 37.0, images=IMAGES["Vimeo90K"])
            assert bool(papers_figures(entry, [score], data)) == known
    assert caplog.text.count("type data.mirror=") == 1 and f"type data.mirror={str(mirrored).lower()}" in caplog.text


def test_no_published_figure_stands_beside_an_earlier_stage():
    """SRResNet, as SRGAN's first stage, stood 2.6 dB above the paper's SRGAN."""
    steps = SimpleNamespace(steps=[MatlabBicubic(4)])
    data = SimpleNamespace(degradation=steps, mirror=False, opened=lambda part: None, strange=lambda stored=False: [])
    schema.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        node = OmegaConf.to_container(hydra.compose("train", overrides=["model=srgan", "scale=4"]).model, resolve=True)
    for number, stage in ((2, False), (1, True)):
        told = {"stage": {"number": number, "of": 2}, "config": {"scale": 4, "stages": {"pretrain": {}, "last": None}}}
        paper = paper_of({"model": node, "name": "srgan"} | told)
        assert bool(paper) != stage
        entry = Entry("srgan (pretrain)", SRResNet(4, num_blocks=1, channels=4), "srgan", stage=not paper)
        found = papers_figures(entry, [Score(entry.name, "Set5", 4, "srgan", "psnr", 32.0, 5)], data)
        assert bool(found) != stage


def test_a_whole_set_on_which_bicubic_has_another_figure_is_not_the_papers():
    def mean(protocol: str, value: float, **others: object) -> Score:
        known = {"model": "bicubic", "dataset": "Set5", "scale": 4, "metric": "psnr", "images": 5}
        return Score(**known | {"protocol": protocol, "value": value} | others)  # type: ignore[arg-type]

    assert (
        unlike_papers([mean("y", 28.43), mean("rgb", 20.0), mean("y", 20.0, images=3), mean("y", 20.0, model="a")])
        == {}
    )
    assert unlike_papers([mean("y_classic", 28.42), mean("y", 25.94)]) == {
        ("Set5", 4): "25.94 dB there, 28.42 in the papers"
    }
    area = [mean("y", 28.43), mean("y", 0.8165, metric="ssim")]  # made by cv2.INTER_AREA, in a folder LR_bicubic
    assert unlike_papers(area) == {("Set5", 4): "0.8165 SSIM there, 0.8104 in the papers"}
    assert not unlike_papers([mean("y", 28.43), mean("y", 0.8113, metric="ssim")]), "MATLAB's"


@pytest.mark.shared
def test_no_published_figure_stands_beside_lr_that_is_called_bicubic_alone(command, shared, tmp_path):
    """Compressed, in a folder whose name says what the papers' does."""
    (tmp_path / "Set5/LR_bicubic/X4").mkdir(parents=True)
    (tmp_path / "Set5/HR").symlink_to(shared / "data/benchmarks/Set5/HR")
    for file in (shared / "data/benchmarks/Set5/LR_bicubic/X4").iterdir():
        Image.open(file).save(tmp_path / f"Set5/LR_bicubic/X4/{file.stem}.jpg", quality=30)
    typed = ["model=bicubic", "scale=4", "benchmarks=[set5]", f"data_dir={tmp_path}", "protocols=[y,srgan]"]
    done = command("evaluate.py", *typed, "data.lr=LR_bicubic", "panels=0")
    assert "LR of Set5: read from LR_bicubic, which is not HR as MATLAB shrinks it, not plain bicubic" in done.out, done
    assert "Beside the published figures" not in done.out, done


@pytest.mark.shared
@pytest.mark.parametrize("baseline", [True, False])
def test_without_bicubic_it_is_told_that_nothing_tells_whose_images_these_are(command, shared, baseline):
    typed = [
        "weights=[rlfn_x4]",
        f"zoo.dir={shared}/weights",
        f"data_dir={shared}/data",
        "benchmarks=[set5]",
        "panels=0",
    ]
    done = command("evaluate.py", *typed, "protocols=[y]", f"baseline={str(baseline).lower()}")
    assert done.code == 0 and "Beside the published figures" in done.out, done
    assert ("leave baseline=false out" in done.out) == (not baseline), done


def test_no_run_is_validated_on_lr_that_a_protocol_makes_in_place_of_its_own(tmp_path, photos):
    hr, _ = photos(tmp_path / "HR", 2, 24, 24), photos(tmp_path / "LR_bicubic", 2, 12, 12)
    photos(tmp_path / "mine", 2, 12, 12)
    given = {"root": hr[0].parent, "val": hr[0].parent, "scale": 2}
    noisy = Degradation(2, [MatlabBicubic(2), GaussianNoise(5)])
    for own in ({}, {"val_lr": tmp_path / "LR_bicubic"}, {"train_lr": tmp_path / "mine"}):
        refuse_own_lr(get_protocol("y_classic"), Folder(**given, **own))
    for own, told in (
        ({"val_lr": tmp_path / "mine"}, "read from"),
        ({"degradation": noisy}, "made by MatlabBicubic, G"),
    ):
        refuse_own_lr(get_protocol("y"), Folder(**given, **own))
        with pytest.raises(UserError, match=rf"protocol=y_classic makes bicubic LR.* is {told}.*type protocol=y"):
            refuse_own_lr(get_protocol("y_classic"), Folder(**given, **own))


def test_lr_of_div2k_s_own_tracks_is_what_the_track_says(tmp_path):
    """Its x8 lies in a folder whose name does not say how it was made."""
    for name, side in (("DIV2K_valid_HR/0801.png", 64), ("DIV2K_valid_LR_x8/0801x8.png", 8)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side)).save(tmp_path / name)
    refuse_own_lr(get_protocol("y_classic"), Div2k(root=tmp_path, scale=8))
