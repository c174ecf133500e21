"""The papers' test sets: where they are looked for, and what is told of other images in their place."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr.data.benchmarks import B100, Benchmark, Set5, Set14, Urban100
from sr.errors import UserError
from sr.metrics.protocols import get_protocol
from sr.scores.published import comparable, lr_of

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "place",
    ["benchmarks/Set5/HR/a.png", "benchmark/Set5/HR/a.png", "Set5/HR/a.png", "Set5/a.png", "Set5/image_SRF_2/a_HR.png"],
)
def test_benchmark_layouts(tmp_path: Path, settings: dict[str, Any], write: Write, place: str) -> None:
    write(tmp_path / place, 1)
    if "SRF" in place:
        write(tmp_path / "Set5/image_SRF_2/a_LR.png", 1, 20, 24)
        write(tmp_path / "Set5/image_SRF_2/a_SRCNN.png", 1)
    data = Set5(data_dir=tmp_path, **settings)
    data.check("test")
    assert data.pairs("test").names == ["a"] and data.name == "Set5" and not data.has("train")
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".bin", ".json", ".lock"}  # kept, verified
    with pytest.raises(UserError, match="for measuring only"):
        data.check("fit")


@pytest.mark.parametrize("kind", [Set5, Set14, B100, Urban100])
def test_other_images_in_a_papers_folder_are_told(
    tmp_path: Path, settings: dict[str, Any], caplog: pytest.LogCaptureFixture, kind: type[Benchmark]
) -> None:
    """Of another number or size; cut to a multiple of a scale, or of another type without loss, it is still the set."""
    name, sizes = kind.__name__, kind.sizes or [(40, 60)] * 100
    assert len(sizes) == kind.count

    def written(place: str, sizes: Any, ending: str = "png") -> Benchmark:
        (folder := tmp_path / place / name).mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            Image.new("RGB", (width, height)).save(folder / f"{number}.{ending}")
        data = kind(data_dir=tmp_path / place, **settings)
        data.test_pairs()
        return data

    assert written("whole", sizes).test_name == name
    assert written("cut", [(h - h % 3, w - w % 4) for h, w in sizes], "bmp").test_name == name
    assert written("cut_12", [(h - h % 12, w - w % 12) for h, w in sizes]).test_name == name
    assert not caplog.text
    fewer = written("fewer", sizes[1:])
    assert fewer.test_name == f"other {name}"
    assert f"holds other images than the papers' {name}: {kind.count - 1}, where there are {kind.count}" in caplog.text
    fewer.val_pairs()
    assert caplog.text.count("other images") == 1
    jpeg = written("jpeg", sizes, "jpg")  # on which bicubic may have the papers' figure, and networks 0.2 dB less
    assert (jpeg.test_name == name) == (kind is B100) == ("saved again as JPEG" not in caplog.text)
    if kind.sizes:
        assert written("larger", [(h + 1, w + 1) for h, w in sizes]).test_name == f"other {name}"
        assert "none of them is" in caplog.text


@pytest.mark.shared
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 8, 12])
@pytest.mark.parametrize("kind", [Set5, Set14, B100])
def test_pixels_that_are_not_those_of_a_papers_set_are_told(
    tmp_path: Path, settings: dict[str, Any], kind: type[Benchmark], shared: Path, cut: int
) -> None:
    """Changed so that bicubic keeps its figures, it put networks 1 dB above the papers' and in another order."""
    name = kind.__name__

    def measured(place: str, **changed: np.ndarray) -> list[str]:
        (folder := tmp_path / place / name).mkdir(parents=True)
        for path in sorted((shared / "data/benchmarks" / name / "HR").iterdir()):
            pixels = changed.get(path.stem, np.asarray(Image.open(path)))
            h, w = (side - side % cut for side in pixels.shape[:2])
            Image.fromarray(pixels[:h, :w]).save(folder / f"{path.stem}.bmp")
        data = kind(data_dir=tmp_path / place, **settings)
        assert lr_of(data) == "bicubic"
        data.setup("test")
        assert (", of other images (" in lr_of(data)) == bool(data.strange()) and comparable(data)
        return data.strange()

    *_, first, last = sorted((shared / "data/benchmarks" / name / "HR").iterdir())
    assert measured("whole") == [], "cut, and of another type without loss"
    changed, edge = (np.asarray(Image.open(last)).copy() for _ in range(2))
    changed[9, 9] ^= 1
    assert measured("changed", **{last.stem: changed}) == [f"{last.stem}.bmp"]
    h, w = (side - side % cut for side in edge.shape[:2])
    edge[h - 1, w - 1] ^= 1
    assert measured("edge", **{last.stem: edge}) == [f"{last.stem}.bmp"]
    if cut == 1:
        assert measured("narrower", **{last.stem: np.asarray(Image.open(last))[:, :-5]}) == [f"{last.stem}.bmp"]
    assert np.asarray(Image.open(first)).shape != edge.shape or kind is not Set5


@pytest.mark.shared
@pytest.mark.parametrize(("image", "kind"), [("bridge", "RGB"), ("man", "L")])
def test_how_an_image_of_set14_is_stored_counts_where_the_y_of_grey_is_another(
    tmp_path: Path, settings: dict[str, Any], shared: Path, image: str, kind: str
) -> None:
    """With `bridge` in colours VDSR x3 had 29.88 dB where the paper has 29.77, of the same pixels, without a word."""
    shutil.copytree(shared / "data/benchmarks/Set14/HR", tmp_path / "Set14")
    file = tmp_path / f"Set14/{image}.png"
    Image.open(file).convert(kind).save(file)
    data = Set14(data_dir=tmp_path, **settings)
    data.setup("test")
    assert lr_of(data) == lr_of(data, get_protocol("y")) == "bicubic"
    assert lr_of(data, get_protocol("y_classic")) == f"bicubic, of other images ({image}.png)"
    assert lr_of(data, get_protocol("y_uint8")) == f"bicubic, of other images ({image}.png)"


def test_benchmark_lr_from_files(tmp_path: Path, settings: dict[str, Any], write: Write) -> None:
    write(tmp_path / "benchmarks/B100/HR/3096.jpg", 1, 41, 48)
    write(tmp_path / "benchmarks/B100/LR_bicubic/X2/3096x2.png", 2, 21, 24)  # some archives round up
    data = B100(data_dir=tmp_path, lr="LR_bicubic", **settings)
    lr, hr, _ = data.pairs("test").whole(0)
    assert lr.shape == (20, 24, 3) and hr.shape == (40, 48, 3)
    with pytest.raises(UserError, match=r"LR_old(.|\n)*data\.lr=null"):
        B100(data_dir=tmp_path, lr="LR_old", **settings).check("test")
    with pytest.raises(UserError, match=r"benchmark\.tar"):
        Set5(data_dir=tmp_path, **settings).check("test")


def test_urban100_of_selfexsr(tmp_path: Path, settings: dict[str, Any], write: Write) -> None:
    for scale, side in ((2, 24), (4, 48)):
        write(tmp_path / f"Urban100/image_SRF_{scale}/img_001_SRF_{scale}_HR.png", scale, side, side)
        write(tmp_path / f"Urban100/image_SRF_{scale}/img_001_SRF_{scale}_LR.png", scale, side // scale, side // scale)
    double, fourfold = {**settings, "data_dir": tmp_path}, {**settings, "scale": 4, "data_dir": tmp_path}
    assert Urban100(**double).pairs("test").whole(0)[1].shape == (48, 48, 3)  # not the half-size HR
    with pytest.raises(UserError, match="half-size"):
        Urban100(lr="image_SRF", **double).check("test")
    (pair,) = Urban100(lr="image_SRF", **fourfold).test_pairs()
    assert pair.lr and pair.lr.name == "img_001_SRF_4_LR.png"
