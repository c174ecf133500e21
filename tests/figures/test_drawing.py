"""One style, a picture with its numbers, names that can be read."""

import os
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from sr.errors import UserError
from sr.figures.drawing import COLORS, Drawing, page, styled
from sr.figures.label_placement import overlap, place_labels, placed


@styled
def simple(size: float) -> Drawing:
    figure = page(2, 1)
    figure.subplots().set_title(f"{matplotlib.rcParams['font.size']}")
    return Drawing(figure, [{"size": size, "kind": "a"}, {"size": 2 * size, "more": 1}])


def test_numbers_stand_beside_the_picture_and_missing_cells_are_empty(tmp_path):
    picture, numbers = simple(1.5).save(tmp_path / "new" / "it.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert numbers.read_text().split() == ["size,kind,more", "1.5,a,", "3.0,,1"]
    assert simple(1)._repr_png_().startswith(b"\x89PNG")
    assert simple(1)._repr_html_() is None
    assert "<li>left out: &lt;b&gt;\\x1b</li>" in replace(simple(1), notes=["left out: <b>\x1b"])._repr_html_()


def test_nothing_counts_of_a_matplotlibrc(tmp_path):
    """One where the user stands turned pictures upside down, and had LaTeX read any file into them."""
    strange = {"image.origin": "lower", "text.usetex": True, "savefig.dpi": 5000, "text.latex.preamble": r"\\input{x}"}

    @styled
    def shown() -> Drawing:
        figure = page(2, 1)
        figure.subplots().imshow(np.eye(3))
        return Drawing(figure, [])

    wanted = shown().save(tmp_path / "plain.png")[0].read_bytes()
    with matplotlib.rc_context(strange):
        assert shown().save(tmp_path / "it.png")[0].read_bytes() == wanted
        assert matplotlib.rcParams["image.origin"] == "lower", "they are left as they were"


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_vector_formats(tmp_path, suffix, start):
    picture, _ = simple(1).save(tmp_path / f"it.{suffix}")
    assert picture.read_bytes().startswith(start)


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(UserError, match=r"one of .*png.*format=png"):
        simple(1).save(tmp_path / "it.gimp")


def test_no_name_of_a_run_comes_to_latex(tmp_path):
    """`\\input{FILE}` in it read any file of the user's."""
    with pytest.raises(UserError, match=r"it\.pgf: a picture is written as one of (?!.*pgf).*for example format=png"):
        simple(1).save(tmp_path / "it.pgf")


def test_matplotlibs_own_settings_stay_as_they_were():
    before = dict(matplotlib.rcParams)
    assert simple(1).figure.axes[0].get_title() == "9.0"
    assert dict(matplotlib.rcParams) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no named pipes")
def test_matplotlib_waits_for_no_pipe_where_one_stands(tmp_path):
    """It reads `matplotlibrc` as soon as it is imported: `sr figure` did not come back."""
    os.mkfifo(tmp_path / "matplotlibrc")
    script = "from sr.cli import main\nmain('figure')"
    done = subprocess.run(
        [sys.executable, "-c", script, "figure=filters", "checkpoint=none.ckpt"], cwd=tmp_path, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and "matplotlibrc is refused: it is no file but a named pipe" in done.stderr, done


def test_without_matplotlib_the_message_says_what_to_install(tmp_path):
    script = "import sys; sys.modules['matplotlib'] = None\nfrom sr.cli import main\nmain('figure')"
    done = subprocess.run([sys.executable, "-c", script, "figure=bubble"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "error: figures need matplotlib: pip install -e " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_backend_that_matplotlib_does_not_know_is_told(tmp_path):
    typed = [sys.executable, "-m", "sr", "figure", "figure=bubble"]
    env = os.environ | {"MPLBACKEND": "nope"}
    done = subprocess.run(typed, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 1 and "error: matplotlib does not start: Key backend: 'nope'" in done.stderr
    assert "Traceback" not in done.stderr


def test_colours_are_distinct_in_lightness_or_hue_for_the_colour_blind():
    """Seen with deuteranopia (Vienot et al., 1999), no two are closer than the eye tells apart at a glance."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLORS]) ** 2.2
    simulation = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    seen = (rgb @ simulation.T).clip(0, 1) ** (1 / 2.2)
    apart = [np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 0.15


def test_labels_do_not_lie_on_each_other_or_on_other_points():
    points = [(100.0, 100.0, 5.0), (108.0, 100.0, 5.0), (104.0, 108.0, 5.0), (100.0, 100.0, 2.0)]
    boxes = placed(points, [(40.0, 10.0)] * 4, (0.0, 0.0, 300.0, 300.0))
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert max(overlap(a, b) for a, b in pairs) == 0
    discs = [(x - r, y - r, x + r, y + r) for x, y, r in points]
    assert all(overlap(box, disc) == 0 for i, box in enumerate(boxes) for j, disc in enumerate(discs) if i != j)


def test_a_label_stays_inside_the_frame():
    ((left, bottom, right, top),) = placed([(298.0, 298.0, 5.0)], [(40.0, 10.0)], (0.0, 0.0, 300.0, 300.0))
    assert left >= 0 and bottom >= 0 and right <= 300 and top <= 300


def test_names_are_written_beside_their_points():
    figure = page(4, 3)
    ax = figure.subplots()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    place_labels(ax, [(0.5, 0.5, 4, "one"), (0.5, 0.51, 4, "two")])
    figure.draw_without_rendering()
    first, second = (text.get_window_extent() for text in ax.texts)
    assert not first.overlaps(second)
    point = ax.transData.transform((0.5, 0.5))
    assert abs(first.x0 + first.width / 2 - point[0]) < 60 and abs(first.y0 + first.height / 2 - point[1]) < 60


def test_the_format_leads_into_no_other_folder(command, tmp_path):
    done = command("figure.py", "figure=bubble", "format=../../x.png")
    assert done.code == 1 and "the ending of a file is wanted" in done.err and not [*tmp_path.rglob("x.*")], done
