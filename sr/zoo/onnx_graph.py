"""Which operators an ONNX file holds, read before anything runs: protocol buffers need no package to be walked."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sr.errors import UserError

DEEPEST = 50  # graphs within graphs
MOST = 1_000_000  # operators, functions written out
RANDOM = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial",
    "Dropout in training",
}  # fmt: skip
REPEATING = {  # what is in them, as often as they please
    "Loop", "Scan", "SequenceMap", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch",
}  # fmt: skip
# Of onnx.proto: where a message holds operators, or what holds them.
GRAPH, FUNCTIONS, NODES, FUNCTION_NAME, FUNCTION_NODES = 7, 25, 1, 1, 7
METADATA = 14
INPUTS, OPERATOR, ATTRIBUTES, ATTRIBUTE_GRAPHS = 1, 4, 5, (6, 11)
# And where one holds values, dense or as lists of two tensors, and these the name of another file.
GRAPH_VALUES, GRAPH_LISTS, FUNCTION_DEFAULTS, ATTRIBUTE_VALUES, ATTRIBUTE_LISTS = 5, 15, 11, (5, 10), (22, 23)
LISTED, ELSEWHERE = (1, 2), 13


class ElsewhereError(Exception):
    """Values lie in another file, which ONNX Runtime would read wherever it lies."""


def refuse_endless(content: bytes, path: Path) -> Counter[str]:
    """How often each operator stands in a file.

    Raises:
        UserError: it holds what may run for ever, draws numbers or reads other files, or is no ONNX.
    """
    try:
        found, size = _operators(memoryview(content))
    except ElsewhereError as error:
        raise UserError(
            f"{path} takes values from another file: only what stands in the file itself is read. To have them in it: "
            "python -P -c \"import onnx; onnx.save(onnx.load('IN.onnx'), 'OUT.onnx')\""
        ) from error
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} cannot be read as ONNX ({error}). Is it complete?") from error
    if repeating := sorted(found.keys() & REPEATING):
        raise UserError(f"{path} holds a {repeating[0]}, which may run for ever: networks of fixed operations are run")
    if size > MOST:
        raise UserError(f"{path} has more than {MOST:,} operators once its functions are written out: none is run so")
    if random := sorted(found.keys() & RANDOM):
        raise UserError(f"{path} draws random numbers ({', '.join(random)}), so that each run makes other pixels")
    return found


def checksum(content: bytes, facts: Mapping[str, str]) -> str:
    """Of all that a file computes, and of what it tells of itself beside it."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for number, value in _fields(memoryview(content)):
        if number != METADATA:
            found.update(f"{number} {len(value)} ".encode())
            found.update(value)
    return found.hexdigest()


def _operators(model: memoryview) -> tuple[Counter[str], int]:
    """How often each stands in the file, and how many there are once functions are written out."""
    graph, functions = Counter[str](), dict[str, Counter[str]]()
    for number, value in _fields(model):
        if number == GRAPH:
            _gather(value, NODES, graph, 0)
        elif number == FUNCTIONS:
            name = _last(_fields(value), FUNCTION_NAME)
            _gather(value, FUNCTION_NODES, functions.setdefault(name, Counter()), 0)
    sizes = dict[str, int]()

    def size(name: str, above: tuple[str, ...]) -> int:
        if name not in functions:
            return 1
        if name in above:
            raise ValueError("a function that calls itself")
        if name not in sizes:
            sizes[name] = sum(n * size(inner, (*above, name)) for inner, n in functions[name].items())
        return sizes[name]

    return sum(functions.values(), graph), sum(n * size(name, ()) for name, n in graph.items())


def _gather(holder: memoryview, nodes: int, found: Counter[str], depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError("graphs within graphs without end")
    for number, node in _fields(holder):
        if number != nodes:
            if nodes == FUNCTION_NODES and number == FUNCTION_DEFAULTS:
                _look_into(node, found, depth)
            elif nodes == NODES and number in (GRAPH_VALUES, GRAPH_LISTS):
                _refuse_elsewhere(node, number == GRAPH_LISTS)
            continue
        parts = list(_fields(node))
        operator = _last(parts, OPERATOR)
        inputs = [value for part, value in parts if part == INPUTS]
        if operator == "Dropout" and len(inputs) > 2 and len(inputs[2]):  # the third says that it is training
            operator = "Dropout in training"
        found[operator] += 1
        for part, value in parts:
            if part == ATTRIBUTES:
                _look_into(value, found, depth)


def _look_into(attribute: memoryview, found: Counter[str], depth: int) -> None:
    for kind, inner in _fields(attribute):
        if kind in ATTRIBUTE_GRAPHS:
            _gather(inner, NODES, found, depth + 1)
        elif kind in (*ATTRIBUTE_VALUES, *ATTRIBUTE_LISTS):
            _refuse_elsewhere(inner, kind in ATTRIBUTE_LISTS)


def _refuse_elsewhere(values: memoryview, lists: bool) -> None:
    for number, value in _fields(values):
        if lists and number in LISTED:
            _refuse_elsewhere(value, False)
        elif not lists and number == ELSEWHERE:
            raise ElsewhereError


def _last(fields: Iterable[tuple[int, memoryview]], number: int) -> str:
    """A field that stands once, as every parser reads it that finds it twice; "" where it is not there."""
    return bytes(([b"", *(value for n, value in fields if n == number)])[-1]).decode(errors="replace")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field that has a length (texts, messages); of others nothing is needed."""
    at = 0
    while at < len(message):
        key, at = _whole_number(message, at)
        if key >> 32:  # ONNX Runtime would forget the higher bits, and find another field
            raise ValueError("its fields are no protocol buffer's")
        kind = key & 7
        if kind == 0:
            _, at = _whole_number(message, at)
        elif kind == 2:
            length, at = _whole_number(message, at)
            if at + length > len(message):
                raise ValueError("it ends within a field")
            yield key >> 3, message[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("its fields are no protocol buffer's")


def _whole_number(message: memoryview, at: int) -> tuple[int, int]:
    """One of seven bits a byte, the lowest first, and where what follows begins."""
    found = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise ValueError("its fields are no protocol buffer's")
