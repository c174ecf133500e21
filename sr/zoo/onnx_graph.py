"""Which operators an ONNX file holds, read before anything runs: protocol buffers need no package to be walked."""

from collections.abc import Iterator
from pathlib import Path

from sr.errors import UserError

DEEPEST = 50  # graphs within graphs
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
# Of onnx.proto: where a message holds operators, or what holds them.
GRAPH, FUNCTIONS, NODES, FUNCTION_NODES, OPERATOR, ATTRIBUTES, ATTRIBUTE_GRAPHS = 7, 25, 1, 7, 4, 5, (6, 11)


def refuse_endless(content: bytes, path: Path) -> None:
    """Raises a UserError for a file that may run for ever or makes other pixels each time, or is no ONNX."""
    try:
        found = _operators(memoryview(content))
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} cannot be read as ONNX ({error}). Is it complete?") from error
    if "Loop" in found:
        raise UserError(f"{path} holds a Loop, which may run for ever: networks of fixed operations are run")
    if random := sorted(found & RANDOM):
        raise UserError(f"{path} draws random numbers ({', '.join(random)}), so that each run makes other pixels")


def _operators(model: memoryview) -> set[str]:
    found: set[str] = set()
    for number, value in _fields(model):
        if number == GRAPH:
            _gather(value, NODES, found, 0)
        elif number == FUNCTIONS:
            _gather(value, FUNCTION_NODES, found, 0)
    return found


def _gather(holder: memoryview, nodes: int, found: set[str], depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError("graphs within graphs without end")
    for number, node in _fields(holder):
        if number != nodes:
            continue
        for part, value in _fields(node):
            if part == OPERATOR:
                found.add(bytes(value).decode(errors="replace"))
            elif part == ATTRIBUTES:
                for kind, inner in _fields(value):
                    if kind in ATTRIBUTE_GRAPHS:
                        _gather(inner, NODES, found, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field that has a length (texts, messages); of others nothing is needed."""
    at = 0
    while at < len(message):
        key, at = _whole_number(message, at)
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
