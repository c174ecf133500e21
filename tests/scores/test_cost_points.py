"""The axes of PSNR against cost: the range of real networks; what lies beyond stands at the edge."""

from sr.scores.cost_points import arrow, axes, inside, published_points, told

REAL = [(0.7, 31.5), (30.0, 32.2), (600.0, 31.3)]


def test_an_outlier_does_not_press_the_others_together():
    toy, untrained = (0.001, 29.0), (20.0, 7.4)
    within = axes([*REAL, toy, untrained], 4, bicubic=28.4)
    assert within == ((0.7, 600.0), (29.0, 32.2))
    assert inside(toy, within) == (0.7, 29.0) and arrow(toy, within) == "←"
    assert inside(untrained, within) == (20.0, 29.0) and arrow(untrained, within) == "↓"
    assert [arrow(point, within) for point in REAL] == [""] * 3
    assert told({"psnr": 7.4, "macs_g": 20.0}, "↓") == "7.40 dB, 20 G ↓" and not told({"psnr": 1, "macs_g": 1}, "")


def test_published_figures_stand_for_bicubic_where_it_was_not_measured():
    assert axes([*REAL, (20.0, 7.4)], 4, None, REAL)[1] == (31.3, 32.2)
    assert axes([*REAL, (20.0, 90.0)], 4, 28.4, REAL)[1] == (31.3, 32.2), "nobody reaches 90 dB"
    assert axes([(1.0, 7.4), (2.0, 9.0)], 4, 28.4) == ((1.0, 2.0), (7.4, 9.0)), "where all are outliers none is"
    costs = [p["macs_g"] for p in published_points(4, "Set5", ["y"])]
    assert axes([(c, 32.0) for c in costs], 4, None)[0] == (min(costs), max(costs)), "none that is published"
