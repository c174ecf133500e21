"""What a sample is: uniform, a function of seed and number alone, and the same one by one as in tables."""

import numpy as np

from sr.data.draws import BLOCK, Draw, Draws, epoch_orders, step_choice

GRIDS = [(40, 30), (20, 50), (16, 16)]


def draws(seed: int = 5, **settings: bool) -> Draws:
    return Draws(GRIDS, 16, seed, **settings)


def test_tables_from_anywhere_agree() -> None:
    whole = draws().table(0, 2 * BLOCK)
    assert np.array_equal(draws().table(BLOCK - 7, 20), whole[:, BLOCK - 7 : BLOCK + 13])
    one = draws()
    for sample in (0, BLOCK - 1, BLOCK, 3):
        assert one[sample] == Draw(*whole[:, sample].tolist())


def test_far_away_samples_and_large_or_negative_seeds() -> None:
    far = Draws(GRIDS, 16, 2**63)[2**40 + 1]
    assert far != Draws(GRIDS, 16, 0)[2**40 + 1] and far != Draws(GRIDS, 16, 2**63)[1]
    assert len({draws(seed)[0].seed for seed in (-1, 0, 1, 2**32, 2**33)}) == 5


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    image = draws().table(0, 300)[0].reshape(100, 3)
    assert all(sorted(epoch) == [0, 1, 2] for epoch in image.tolist())
    counts = np.unique(image @ [9, 3, 1], return_counts=True)[1]
    assert len(counts) == 6 and counts.min() > 5
    assert len({tuple(order) for order in epoch_orders(0, 0, 20, 50)}) == 20


def test_places_and_turns_are_uniform() -> None:
    """Chi-squared over the cells stays near its expectation, which is the number of cells."""
    image, y, x, turn, seed = draws().table(0, 60_000)
    assert seed.min() >= 0 and seed.max() < 2**62 and len(set(seed.tolist())) == 60_000
    for index, (h, w) in enumerate(GRIDS):
        mine = image == index
        cells = [(y, h - 15), (x, w - 15), (turn, 8), (y * 8 + turn, (h - 15) * 8), (x * 8 + turn, (w - 15) * 8)]
        for values, cell_count in cells:
            found = np.bincount(values[mine], minlength=cell_count)
            assert len(found) == cell_count
            expected = mine.sum() / cell_count
            chi = ((found - expected) ** 2 / expected).sum()
            assert abs(chi - (cell_count - 1)) < 5 * np.sqrt(2 * cell_count)


def test_turns_can_be_switched_off_without_moving_the_places() -> None:
    on, off = draws().table(0, 100), draws(dihedral=False).table(0, 100)
    assert not off[3].any() and np.array_equal(on[[0, 1, 2, 4]], off[[0, 1, 2, 4]])


def test_a_steps_choice_is_shared_by_its_samples_and_uniform() -> None:
    found = [step_choice(3, step, 3) for step in range(3000)]
    assert min(np.bincount(found)) > 900
    assert found != [step_choice(4, step, 3) for step in range(3000)]
