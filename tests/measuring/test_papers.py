"""Which published figures stand beside what is measured."""

from types import SimpleNamespace

import pytest

from sr.degradation import MatlabBicubic
from sr.measuring.papers import Entry, papers_figures
from sr.models.basicvsr import BasicVSR
from sr.models.bicubic import Bicubic
from sr.models.edvr import EDVR
from sr.scores.published import IMAGES
from sr.scores.score import Score


@pytest.mark.parametrize(("name", "mirrored"), [("basicvsr_vimeo_bi", True), ("edvr_l_vimeo_bi", False)])
def test_clips_are_mirrored_or_not_as_the_published_figure_s_were(name, mirrored, caplog):
    """BasicVSR's on Vimeo-90K is of 7 frames mirrored to 14."""
    network = BasicVSR(num_blocks=1, channels=4) if mirrored else EDVR(num_blocks=1, channels=8, groups=2)
    for mirror in (False, True):
        data = SimpleNamespace(degradation=SimpleNamespace(steps=[MatlabBicubic(4)]), mirror=mirror)
        for entry, known in ((Entry("ours", network, name), mirror == mirrored), (Entry("bicubic", Bicubic(4)), True)):
            score = Score(entry.name, "Vimeo90K", 4, "video_centre", "psnr", 37.0, images=IMAGES["Vimeo90K"])
            assert bool(papers_figures(entry, [score], data)) == known
    assert caplog.text.count("type data.mirror=") == 1 and f"type data.mirror={str(mirrored).lower()}" in caplog.text
