"""Manga109, DIV2K100, LSDIR and NTIRE's images: where they are looked for, and what is said where they are not."""

from collections.abc import Callable

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from sr.errors import UserError


@pytest.fixture
def data_set(root, tmp_path) -> Callable[[str], object]:
    """The data module of a name, whose data_dir is tmp_path / "d"."""

    def build(name: str):
        GlobalHydra.instance().clear()
        keys = ["+scale=2", "+seed=0", "+patch_size=8", "+batch_size=2", "+frames=5", "+degradation=bicubic"]
        places = [f"+cache_dir={tmp_path}/cache", f"+data_dir={tmp_path}/d"]
        with hydra.initialize_config_dir(str(root / "conf"), version_base="1.3"):
            return hydra.utils.instantiate(hydra.compose(overrides=[*keys, *places, f"+data={name}"]).data)

    return build


def test_manga109(data_set, tmp_path, write, caplog) -> None:
    with pytest.raises(UserError, match=r"(?s)Manga109's images not found.*manga109\.org.*109 volumes"):
        data_set("manga109").check("test")
    write(tmp_path / "d/benchmarks/Manga109/HR/ARMS.png", 0)
    data = data_set("manga109")
    data.check("test")
    assert data.test_name == "other Manga109" and "1, where there are 109" in caplog.text
    assert data.archives()[0] == []


def test_div2k100_is_the_validation_part_of_div2k(data_set, tmp_path, write) -> None:
    with pytest.raises(UserError, match=r"(?s)DIV2K100's images not found.*DIV2K_valid_HR\.zip"):
        data_set("div2k100").check("test")
    for number in range(801, 901):
        write(tmp_path / f"d/DIV2K/DIV2K_valid_HR/{number:04}.png", number, 16, 16)
    data = data_set("div2k100")
    assert len(data.pairs("test")) == 100 and data.test_name == "DIV2K"
    (tmp_path / "d/DIV2K/DIV2K_valid_HR/0850.png").unlink()
    short = data_set("div2k100")
    assert len(short.pairs("test")) == 99 and short.test_name == "other DIV2K"


@pytest.mark.parametrize("name", ["lsdir", "div2k_lsdir", "div2k_lsdir_valid"])
def test_what_is_to_be_had_is_said(data_set, tmp_path, write, name) -> None:
    for number in (1, 801):
        write(tmp_path / f"d/DIV2K/DIV2K_{'train' if number == 1 else 'valid'}_HR/{number:04}.png", number, 32, 32)
    with pytest.raises(UserError, match=r"(?s)not found.*(shard-00\.tar\.gz|takes part in the challenge)"):
        data_set(name).check("test" if name.endswith("valid") else "fit")


def test_lsdir_lies_in_sub_folders(data_set, tmp_path, write) -> None:
    for folder, number in (("train/0001000", 1), ("train/0002000", 1001), ("val", 3)):
        write(tmp_path / f"d/LSDIR/HR/{folder}/{number:07}.png", number, 32, 32)
    write(tmp_path / "d/DIV2K/DIV2K_train_HR/0001.png", 5, 32, 32)
    write(tmp_path / "d/DIV2K/DIV2K_valid_HR/0801.png", 6, 32, 32)
    alone, both = data_set("lsdir"), data_set("div2k_lsdir")
    alone.check("fit")
    both.check("fit")
    assert [p.name for p in alone.train_pairs()] == ["0000001", "0001001"] and len(alone.pairs("val")) == 1
    assert len(both.pairs("train")) == 3 and both.name == "DIV2K + LSDIR" and both.test_name == "DIV2K"
