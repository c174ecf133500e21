"""Several sets of pairs as one."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from sr.data.compact import Paths, Sizes, Texts
from sr.data.pairset import Pairs, Pixels, Place, Stored


class JoinedPairs(Pairs):
    """Several sets of pairs, one after the other."""

    def __init__(self, parts: Sequence[Pairs]) -> None:
        self.parts = list(parts)
        self.names = Texts(n for p in self.parts for n in p.names)
        self.grids = Sizes(g for p in self.parts for g in p.grids)
        self.paths = Paths(f for p in self.parts for f in p.paths)
        self._ends = list(accumulate(len(p) for p in self.parts))

    def _find(self, index: int) -> tuple[Pairs, int]:
        part = bisect_right(self._ends, index)
        return self.parts[part], index - (self._ends[part - 1] if part else 0)

    def verify(self) -> None:
        for part in self.parts:
            part.verify()

    @property
    def makes_lr(self) -> bool:
        return any(part.makes_lr for part in self.parts)

    def looks(self) -> list[str]:
        return [look for part in self.parts for look in part.looks()]

    def digests(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for n, part in enumerate(self.parts, 1):
            for name, digest in part.digests().items():
                found[f"{name} ({n})" if name in found else name] = digest  # sets may share their name
        return found

    def stored(self) -> list[Stored] | None:
        parts = [part.stored() for part in self.parts]
        return None if None in parts else [stored for part in parts for stored in part or ()]

    def whole(self, index: int) -> Pixels:
        pairs, i = self._find(index)
        return pairs.whole(i)

    def crops(self, places: Sequence[Place], size: int) -> list[Pixels]:
        found: dict[int, Pixels] = {}
        for part in self.parts:
            own = {n: (i, *p[1:]) for n, p in enumerate(places) for pairs, i in [self._find(p[0])] if pairs is part}
            found |= zip(own, part.crops(list(own.values()), size) if own else (), strict=True)
        return [found[n] for n in range(len(places))]
