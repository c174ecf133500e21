"""Random numbers that are a function of what they are for: Philox4x32-10, for whole arrays at once.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. It computes with integers only, so that a
processor and a GPU give the same numbers, and it has no state, so that a number does not depend on which ones were
asked for before it.

Images, places, turns and the strengths of degradations are drawn with it. The noise of single pixels is not: see
`sr.degradation.randomness`, whose hash takes a quarter to a half of the time.
"""

from collections.abc import Sequence
from typing import Any

WORD = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10


def philox(counter: Sequence[Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Four random words for each counter.

    Args:
        counter: four words, each an int64 numpy array or torch tensor of 0 to 2^32 - 1; their shapes broadcast.
        key: two words.

    Returns:
        Four int64 arrays or tensors of 0 to 2^32 - 1.
    """
    a, b, c, d = counter
    first, second = key
    for _ in range(ROUNDS):
        # The products have 64 bits: int64 keeps all of them, and a mask takes off what the shift made of the sign.
        p, q = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (q >> 32) & WORD ^ b ^ first, q & WORD, (p >> 32) & WORD ^ d ^ second, p & WORD
        first, second = (first + KEY_STEPS[0]) & WORD, (second + KEY_STEPS[1]) & WORD
    return a, b, c, d


def words(number: Any) -> tuple[Any, Any]:
    """Lower and upper word of an int, or of each in an int64 array; of longer or negative ones the last 64 bits."""
    return number & WORD, number >> 32 & WORD


def below(word: Any, limit: Any) -> Any:
    """A random word as one of 0 to limit - 1 (limit below 2^31); some come up more often by at most limit / 2^32."""
    return word * limit >> 32
