from collections.abc import Callable
from pathlib import Path

import pytest

from sr.data.folder import TEMPLATES
from sr.data.pairs import ImagePair, check_sizes, pair_by_name
from sr.errors import UserError


def paths(*names: str) -> list[Path]:
    return [Path("d") / n for n in names]


@pytest.mark.parametrize(
    ("hr", "lr", "scale"),
    [
        ("0001.png", "0001x2.png", 2),
        ("0001.png", "0001.png", 3),
        ("0001.png", "0001x4d.png", 4),
        ("0001.png", "0001x4m.png", 4),
        ("0801.png", "0801x4w.png", 4),
        ("0001.png", "0001x8.png", 8),
        ("img_001_SRF_4_HR.png", "img_001_SRF_4_LR.png", 4),
        ("100075.jpg", "100075x3.png", 3),
        ("icon_x2.png", "icon_x2x2.png", 2),
        ("one_HR_x4.png", "one_LRBI_x4.png", 4),
        ("one_HR_x3.png", "one_LRBD_x3.png", 3),
        ("one.png", "one_x4.png", 4),
        ("one.PNG", "oneX4.png", 4),
        ("one.png", "one-x4.png", 4),
        ("Canon_001_HR.png", "Canon_001_LR4.png", 4),
        ("a_GT.png", "a_LQ.png", 4),
    ],
)
def test_names_pair(hr: str, lr: str, scale: int) -> None:
    (pair,) = pair_by_name(paths(hr), paths(lr), scale)
    assert (pair.hr.name, pair.lr and pair.lr.name) == (hr, lr)


def test_of_several_scales_in_one_folder_the_own_is_taken() -> None:
    lr = paths(*(f"{name}x{k}.png" for name in ("one", "two") for k in (2, 4, 8)))
    pairs = pair_by_name(paths("one.png", "two.png"), lr, 4)
    assert [p.lr and p.lr.name for p in pairs] == ["onex4.png", "twox4.png"]
    both = paths("one_HR_x2.png", "one_HR_x4.png")
    (pair,) = pair_by_name(both, paths("one_LRBI_x2.png", "one_LRBI_x4.png"), 4)
    assert (pair.name, pair.hr.name, pair.lr and pair.lr.name) == ("one", "one_HR_x4.png", "one_LRBI_x4.png")


def test_one_folder_may_hold_both() -> None:
    files = paths("Nikon_1_HR.png", "Nikon_1_LR4.png", "Nikon_2_HR.png", "Nikon_2_LR4.png")
    pairs = pair_by_name(files, files, 4)
    assert [(p.name, p.lr and p.lr.name) for p in pairs] == [
        ("Nikon_1", "Nikon_1_LR4.png"),
        ("Nikon_2", "Nikon_2_LR4.png"),
    ]


def test_a_template_names_the_rest() -> None:
    hr, lr = paths("sharp-1.png", "sharp-2.png"), paths("soft-1-q.png", "soft-2-q.png", "notes.png")
    for star in ("*", "{}"):
        pairs = pair_by_name(hr, lr, 4, f"sharp-{star}", f"soft-{star}-q")
        assert [(p.name, p.lr and p.lr.name) for p in pairs] == [("1", "soft-1-q.png"), ("2", "soft-2-q.png")]
    with pytest.raises(UserError, match=r"0001\.png, 0001x4\.png and 0001_x4\.png: rename"):
        pair_by_name(hr, lr, 4)
    with pytest.raises(UserError, match=r"data\.lr_name="):
        pair_by_name(hr, lr, 4, otherwise=TEMPLATES)
    with pytest.raises(UserError, match=r"must have one \*"):
        pair_by_name(hr, lr, 4, "sharp")


def test_lr_of_another_scale_is_no_partner() -> None:
    with pytest.raises(UserError, match="do not pair up"):
        pair_by_name(paths("0001.png"), paths("0001x3.png"), 2)


def test_the_wild_track_has_four_lr_for_each_hr() -> None:
    lr = paths(*(f"000{i}x4w{k}.png" for i in (1, 2) for k in (1, 2, 3, 4)))
    pairs = pair_by_name(paths("0001.png", "0002.png"), lr, 4)
    assert [p.name for p in pairs[:4]] == ["0001x4w1", "0001x4w2", "0001x4w3", "0001x4w4"]
    assert len(pairs) == 8 and {p.hr.name for p in pairs[4:]} == {"0002.png"}


def test_without_lr_every_hr_stands_alone() -> None:
    assert pair_by_name(paths("a.png"), None, 2) == [ImagePair("a", Path("d/a.png"), None)]


def test_missing_and_superfluous_partners_are_named() -> None:
    with pytest.raises(UserError) as error:
        pair_by_name(paths("a.png", "b.png"), paths("ax2.png", "cx2.png"), 2)
    assert "b.png" in str(error.value) and "cx2.png" in str(error.value) and "bx2.png" in str(error.value)


def test_doubled_partners_are_refused() -> None:
    with pytest.raises(UserError, match="2 LR files for"):
        pair_by_name(paths("a.png"), paths("ax2.png", "a.png"), 2)
    with pytest.raises(UserError, match="same name"):
        pair_by_name(paths("a.png", "a.jpg"), None, 2)


@pytest.mark.parametrize(
    ("height", "width", "fits"), [(13, 16, True), (14, 17, True), (13, 18, False), (12, 16, False)]
)
def test_lr_may_be_rounded_down_or_up(
    tmp_path: Path, write: Callable[..., Path], height: int, width: int, fits: bool
) -> None:
    pair = ImagePair("a", write(tmp_path / "a.png", 0, 41, 50), write(tmp_path / "ax3.png", 0, height, width))
    if fits:
        check_sizes([pair], 3)
    else:
        with pytest.raises(
            UserError, match=r"ax3.png is \d+x\d+ .*expected 16x13 for scale 3 of .*a.png, which is 50x41"
        ):
            check_sizes([pair], 3)
