"""What of a recorded network is kept of the whole picture, in which order it is made, and when it can go.

Most of a network is local: a tile needs the tile's input and a few pixels around it, and nothing is kept. Where
something looks at the whole (a mean over all places, ESA's small map), it must be finished before what uses it, and
features that are needed before and after are kept so that they are not made twice.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sr.deploy.tiling.nodes import Node, Reduce, Region

CHEAP = 128  # multiplications a value up to which features are made again rather than kept


@dataclass
class Step:
    """One map that is made of the whole picture, tile by tile.

    Attributes:
        node: whose result it is.
        reads: the kept maps that it is made of.
        over: the one of these whose place in memory it takes.
        last: those that are needed by no later step.
    """

    node: Node
    reads: list[Node]
    over: Node | None = None
    last: list[Node] = field(default_factory=list)


def ancestors(nodes: Iterable[Node], without: Iterable[Node] = ()) -> list[Node]:
    """The nodes and all that they are made of, back to `without`, in the order of the network."""
    found, todo, stop = set[Node](), list(nodes), set(without)
    while todo:
        node = todo.pop()
        if node not in found and node not in stop:
            found.add(node)
            todo += node.inputs
    return sorted(found, key=lambda node: node.number)


def planned(result: Node, source: Node) -> list[Step]:
    """The maps to keep, in the order in which they are made; the last step is the result, of which nothing is kept."""
    live = ancestors([result])
    users: dict[Node, list[Node]] = {node: [] for node in live}
    for node in live:
        for origin in node.inputs:
            users[origin].append(node)
    done, kept = {source}, [source]
    for goal in (node for node in live if node.finished and node is not source):
        done |= set(ancestors([goal]))
        for node in live:
            if node.early and node not in done and done.issuperset(node.inputs):
                done.add(node)
        wanted = {goal}
        for node in live:
            if node in done and node not in kept and any(user not in done for user in users[node]):
                there = [k for k in {*kept, *wanted} if k.finished or any(u not in done for u in users[k])]
                if node.inputs and _cost(node, {*there, source}) > CHEAP:
                    wanted.add(node)
        kept += sorted(wanted - set(kept), key=lambda node: node.number)
    return _with_lifetimes([*kept[1:], result], source)


def _cost(node: Node, there: set[Node]) -> float:
    """Multiplications for a value of it, from maps that are there."""
    costs: dict[Node, float] = {}
    for one in ancestors([node], there):
        made = sum(costs.get(i, 0) * i.channels for i in one.inputs)
        costs[one] = 0 if one.small else one.cost + made / one.channels
    return costs.get(node, 0)


def _with_lifetimes(order: list[Node], source: Node) -> list[Step]:
    steps, there = [], [source]
    for node in order:
        reads = {i for one in ancestors([node], there) for i in one.inputs if i in there} or {node}
        steps.append(Step(node, sorted(reads, key=lambda n: n.number)))
        there.append(node)
    seen = {source}
    for step in reversed(steps):
        step.last = [node for node in step.reads if node not in seen]
        seen |= set(step.reads)
        step.over = next((node for node in step.last if _in_place(step, node)), None)
    return steps


def _in_place(step: Step, read: Node) -> bool:
    """Whether a part of it is made of the same part of `read` alone."""
    node = step.node
    if (node.shape, node.dtype) != (read.shape, read.dtype) or isinstance(read.rule, Reduce):
        return False
    rows, columns = (n // 2 for n in node.size)
    middle = ((rows, rows + 1), (columns, columns + 1))
    return needed(node, middle, step.reads).get(read) == middle


def needed(node: Node, region: Region, there: Iterable[Node]) -> dict[Node, Region]:
    """For a part of `node`: the part of everything that it is made of, back to the maps that are there."""
    parts = {node: region}
    for one in reversed(ancestors([node], there)):
        if one not in parts:  # of a concatenation, a piece that lies elsewhere
            continue
        for origin, part in zip(one.inputs, one.rule.needs(one, parts[one]), strict=True):
            if part is not None:
                old = parts.get(origin, part)
                parts[origin] = (_span(old[0], part[0]), _span(old[1], part[1]))
    return parts


def _span(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return min(a[0], b[0]), max(a[1], b[1])


def way(node: Node, region: Region, there: Collection[Node]) -> tuple[dict[Node, Region], list[Node], Counter[Node]]:
    """What a part of a node takes: parts of others, the order in which they are made, and how often each is used."""
    parts = needed(node, region, there)
    order = [one for one in ancestors([node], there) if one in parts]
    return parts, order, Counter(origin for one in order for origin in one.inputs)


def peak(node: Node, region: Region, there: Iterable[Node]) -> int:
    """Bytes that making a part takes at most, features that are no longer used being freed."""
    there = set(there)
    parts, order, uses = way(node, region, there)
    held = {one: one.bytes(part) for one, part in parts.items()}
    most = now = sum(held[k] for k in parts if k in there)
    for one in order:
        now += held[one]
        (top, bottom), (left, right) = parts.get(one.inputs[0], one.all) if one.inputs else one.all
        work = one.rule.inside * (bottom - top) * (right - left)
        most = max(most, now + work + held[one] + max((held.get(i, 0) for i in one.inputs), default=0))
        for origin in one.inputs:
            uses[origin] -= 1
            if not uses[origin]:
                now -= held.get(origin, 0)
    return most
