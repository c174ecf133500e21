"""Against the known answers that its authors publish, and numpy against torch."""

from typing import Any

import numpy as np
import pytest
import torch

from sr.philox import WORD, below, philox, words

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
KNOWN = [
    ([0] * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([WORD] * 4, (WORD, WORD), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
@pytest.mark.parametrize("array", [lambda v: np.array([v], np.int64), lambda v: torch.tensor([v])])
def test_known_answers(counter: list[int], key: tuple[int, int], result: str, array: Any) -> None:
    assert " ".join(f"{int(v[0]):08x}" for v in philox([array(v) for v in counter], key)) == result


def test_numpy_and_torch_agree() -> None:
    numbers = np.arange(1000, dtype=np.int64) * 4_000_037
    ours = philox((numbers & WORD, numbers >> 32, 0, 1), words(-5))
    theirs = philox((torch.from_numpy(numbers & WORD), torch.from_numpy(numbers >> 32), 0, 1), words(-5))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(ours, theirs, strict=True))


def test_below_reaches_all_and_nothing_else() -> None:
    found = below(np.array([0, 2**31, WORD]), 7)
    assert found.tolist() == [0, 3, 6]
    assert words(-1) == (WORD, WORD) and words(2**64 + 3) == (3, 0)
