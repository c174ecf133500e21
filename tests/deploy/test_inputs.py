"""Which files are found, and what their results are called."""

import os
from pathlib import Path

import pytest
from at_once import at_once
from PIL import Image

from sr.deploy.inputs import find, results
from sr.errors import UserError


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def touch(*names: str) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return touch


def named(typed: list[str], format_: str | None = None, suffix: str = "_x2") -> set[str]:
    output = Path("out").absolute()
    return {str(p.relative_to(output)) for p, _ in results(find(typed, output), output, suffix, format_).values()}


def test_structure_is_kept_and_what_is_hidden_or_a_result_is_left_out(files):
    files("in/a.png", "in/b/a.JPG", "in/b/.c.png", "in/.d/a.png", "in/notes.txt", "in/e.gif", "out/in/a_x2.png")
    assert named(["in"]) == {"a_x2.png", "b/a_x2.JPG", "e_x2.png"}
    assert named(["."]) == {"in/a_x2.png", "in/b/a_x2.JPG", "in/e_x2.png"}
    assert named(["in/a.png"]) == {"a_x2.png"}
    assert named(["in/b", "in/a.png", "in/a.png"]) == {"b/a_x2.JPG", "a_x2.png"}
    assert named(["in/**/*.JPG"]) == {"b/a_x2.JPG"} and named(["in/[ab].png"], suffix="") == {"a.png"}
    assert [p.name for p in find(["in"]).others] == ["notes.txt"]


def test_names_that_meet_keep_their_endings_and_others_are_left_alone(files):
    files("in/a.png", "in/a.jpg", "in/a_png.jpg", "in/b.jpg")
    assert named(["in"]) == {"a_x2.png", "a_x2.jpg", "a_png_x2.jpg", "b_x2.jpg"}
    assert named(["in"], "png") == {"a_png_x2.png", "a_jpg_x2.png", "a_png_jpg_x2.png", "b_x2.png"}
    Path("in/B.bmp").touch()  # one name where capitals are no matter
    assert {"b_jpg_x2.png", "B_bmp_x2.png"} <= named(["in"], "png")


@pytest.mark.skipif(os.path.exists(__file__.upper()), reason="capitals are no matter here")
def test_files_that_differ_in_capitals_alone_keep_their_names(files):
    files("in/a.png", "in/A.png", "in/A.PNG")
    assert named(["in"]) == {"a_x2.png", "A_x2.png", "A_x2.PNG"}


@pytest.mark.skipif(os.path.exists(__file__.upper()), reason="capitals are no matter here")
def test_endings_that_differ_in_capitals_alone_are_no_one_result(files):
    files("in/a.JPG", "in/a.jpg", "in/b.gif", "in/b.GIF", "in/c.avi", "in/c.AVI")
    films = {"c_avi_x2.mkv", "c_AVI_x2.mkv"}
    assert named(["in"], "png") == {"a_JPG_x2.png", "a_jpg_x2.png", "b_gif_x2.png", "b_GIF_x2.png"} | films
    assert named(["in"]) == {"a_x2.JPG", "a_x2.jpg", "b_gif_x2.png", "b_GIF_x2.png"} | films


def test_a_name_with_wild_signs_means_the_file_that_has_it(files):
    files("[1].png", "1.png")
    assert named(["[1].png"]) == {"[1]_x2.png"}


def test_patterns_are_not_led_around_by_links(files):
    files("in/a.png", "in/b/c/a.png", "in/.d/a.png", "in/b/[x]/e.png", "in/b/a.jpg", "in/b/c/.f.png")
    for name in ("one", "two"):
        Path("in", name).symlink_to(".")
        Path("in/b/c", name).symlink_to("..")
    with at_once():
        assert {str(p) for p in find(["in/**/*.png"]).files} == {"in/a.png", "in/b/c/a.png", "in/b/[x]/e.png"}
    assert {str(p) for p in find(["**/c/*"]).files} == {"in/b/c/a.png"}
    assert {str(p) for p in find(["in/b/**"]).files} == {"in/b/c/a.png", "in/b/[x]/e.png", "in/b/a.jpg"}
    assert {str(p) for p in find([f"{Path.cwd()}/*/**/b/**/e.*"]).files} == {f"{Path.cwd()}/in/b/[x]/e.png"}


def test_a_pattern_in_the_folder_of_the_output_names_what_lies_there(files):
    """As the folder itself does; results in a folder of their own below it are left out as ever."""
    files("in/a.png", "in/b/c.png", "in/out/a_x2.png")
    assert [str(p) for p in find(["in/*.png"], Path("in")).files] == ["in/a.png"]
    assert {str(p) for p in find(["in/b/*.png"], Path("in")).files} == {"in/b/c.png"}
    assert {str(p) for p in find(["in/**/*.png"], Path("in/out")).files} == {"in/a.png", "in/b/c.png"}


def test_what_is_no_file_is_not_waited_for(files):
    files("in/a.png")
    os.mkfifo("in/pipe.png")
    os.symlink("nowhere", "in/broken.png")
    found = find(["in"])
    assert [p.name for p in found.files] == ["a.png", "broken.png"] and [p.name for p in found.others] == ["pipe.png"]


def test_nothing_lies_upon_an_input(files):
    files("in/a.png", "in/a_x2.png")
    with pytest.raises(UserError, match="would lie upon"):
        results(find(["in"]), Path("in").absolute(), "_x2", None)
    with pytest.raises(UserError, match="no image or film in it"):
        find(["in/*.txt"])


def test_a_result_that_is_an_input_by_another_name_is_refused(files):
    """As where a disk knows no capitals, a.jpg is a.JPG; here it is a hard link."""
    files("in/a.JPG")
    os.link("in/a.JPG", "in/a.jpg")
    with pytest.raises(UserError, match="would lie upon"):
        results(find(["in/a.JPG"]), Path("in").absolute(), "", "jpg")


def test_what_lies_beside_bicubic_lies_upon_nothing_either(files):
    files("in/b/a.png", "in/side_by_side/b/a.png", "out/side_by_side/a.png")
    output = Path("out").absolute()
    assert results(find(["in/b"]), output, "", None, beside=True) == {
        Path("in/b/a.png"): (output / "a.png", output / "side_by_side/a.png")
    }
    with pytest.raises(UserError, match=r"would both be .*out/side_by_side/b/a_x2.png"):
        results(find(["in"]), output, "_x2", None, beside=True)
    with pytest.raises(UserError, match=r"would lie upon a file that is enlarged, .*out/side_by_side/a.png"):
        results(find(["out/side_by_side/a.png"]), output, "", None, beside=True)


def test_results_lie_within_the_output_wherever_a_word_leads(files):
    files("in/b/a.png", "other/b.png", "far/deep/d.png", "far/c.png")
    Path("link").symlink_to("far/deep")
    for typed, expected in {
        ("../{}/other/b.png", "in"): {"other/b_x2.png", "in/b/a_x2.png"},
        ("in/b/a.png", "in/../in/b/a.png", "in/b/../b"): {"a_x2.png"},
        ("in/*/../../other/*.png",): {"other/b_x2.png"},
        ("link/../c.png", "link"): {"far/c_x2.png", "link/d_x2.png"},
    }.items():
        assert named([word.format(Path.cwd().name) for word in typed]) == expected, typed


def test_links_that_lead_out_of_a_folder_are_told(tmp_path, caplog):
    (tmp_path / "theirs").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    (tmp_path / "theirs/b.png").symlink_to(tmp_path / "private.png")
    assert find([str(tmp_path / "theirs")]).files
    assert f"1 in {tmp_path}/theirs are links that lead out of it: b.png to {tmp_path}/private.png" in caplog.text
