"""What a step's result depends on, as a short text: the key under which a cache of its LR is reused.

Arrays and tensors count by their bytes, files by their contents, classes and functions of one's own by their code and
by what it refers to; comments, and the rest of a module, do not count.
"""

import dis
import enum
import functools
import hashlib
import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from sr.errors import UserError
from sr.own_modules import as_imported, beside_code, holds_code, installed, own

_PLAIN = (int, float, complex, bool, str, bytes, type(None), type(...), range, slice)
_NAMED = (torch.dtype, torch.device, np.dtype, np.ufunc, enum.Enum)
_HIDDEN = (random.Random,)  # objects with a state of which their attributes say nothing
_NOT_CODE = {"__doc__", "__module__", "__dict__", "__weakref__", "__annotations__", "__firstlineno__", "__qualname__"}
_NOT_CODE |= {"__static_attributes__", "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__"}


def fingerprint(thing: object, without: Sequence[type] = (), alone: bool = False, code: bool = False) -> str:
    """A digest of an object: its class and all that it holds.

    Args:
        thing: the object.
        without: base classes whose own code does not count.
        alone: nor does what the code refers to beyond its own classes and the rest of their modules.
        code: nor does what it has put into its modules since they were imported.

    Raises:
        UserError: it holds something that cannot be described.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in _Description(without, alone, code).of(thing, type(thing).__name__):
        digest.update(f"{len(part)} ".encode())
        digest.update(part)
    return digest.hexdigest()


class _Description:
    """The parts of one object, in an order that does not depend on the process."""

    def __init__(self, without: Sequence[type], alone: bool = False, code: bool = False) -> None:
        self.without, self.alone, self.code = without, alone, code
        self.known: list[object] = []  # code and objects, described once
        self.inside: list[object] = []  # containers that are being described

    def of(self, x: object, where: str, strict: bool = True) -> Iterator[bytes]:
        """The parts of `x`, which `where` names; what cannot be described is refused, or if not strict named only."""
        yield type(x).__qualname__.encode()
        if isinstance(x, _NAMED):
            yield b"" if self.code and isinstance(x, torch.device) else str(x).encode()  # which this machine has
        elif isinstance(x, BuiltinFunctionType):  # whose text may be an address, another one in each process
            yield f"{x.__module__} {x.__qualname__}".encode()
            if not isinstance(x.__self__, ModuleType | type | None):
                yield from self.of(x.__self__, where, strict)
        elif isinstance(x, logging.Logger):  # which leads to all others that there are in a process, with their levels
            yield x.name.encode()
        elif isinstance(x, np.generic | np.ndarray | torch.Tensor):
            yield from self._numbers(x, where)
        elif isinstance(x, str | Path):
            yield from self._text(x)
        elif isinstance(x, _PLAIN):
            yield repr(x).encode()
        elif isinstance(x, Mapping | Sequence | Set):
            if any(x is other for other in self.inside):
                raise _unknown(where, x)
            self.inside.append(x)
            yield from self._container(x, where, strict)
            self.inside.pop()
        elif (number := next((i for i, other in enumerate(self.known) if other is x), None)) is not None:
            yield str(number).encode()
        else:
            self.known.append(x)
            yield from self._composed(x, where, strict)

    def _names(self, owner: type | dict[str, Any]) -> Mapping[str, Any]:
        return as_imported(owner) if self.code else vars(owner) if isinstance(owner, type) else owner

    def _container(self, x: Any, where: str, strict: bool) -> Iterator[bytes]:
        if isinstance(x, Mapping):
            for key in sorted(x, key=str):
                yield from self.of(key, where, strict)
                yield from self.of(x[key], f"{where}[{key!r}]", strict)
        else:
            for i, item in enumerate(sorted(x, key=str) if isinstance(x, Set) else x):
                yield from self.of(item, f"{where}[{i}]", strict)

    def _numbers(self, x: Any, where: str) -> Iterator[bytes]:
        array = x.detach().cpu().contiguous() if isinstance(x, torch.Tensor) else np.asarray(x)
        if isinstance(array, np.ndarray) and array.dtype.hasobject:
            raise _unknown(where, x)
        yield f"{array.dtype} {tuple(array.shape)}".encode()
        if isinstance(array, torch.Tensor):
            array = array.reshape(-1).view(torch.uint8).numpy()
        yield array.tobytes()

    def _text(self, x: str | Path) -> Iterator[bytes]:
        if isinstance(x, Path) and (self.code or holds_code(x)):
            return  # a place on this machine; what lies in a project's is made more by each run
        if self.code and len(str(x)) > 1 and os.path.isabs(x) and beside_code(Path(x)):
            return  # so is __file__
        yield str(x).encode(errors="surrogateescape")
        try:
            path = Path(x)
            inside = [path] if path.is_file() else sorted(path.rglob("*")) if isinstance(x, Path) else []
            for file in inside:
                if file.is_file():
                    yield hashlib.blake2b(file.read_bytes()).digest()
        except ValueError:  # no path
            return
        except OSError as error:
            if isinstance(x, Path):
                raise UserError(f"{x} cannot be read: {error.strerror}") from error

    def _composed(self, x: Any, where: str, strict: bool) -> Iterator[bytes]:
        if isinstance(x, FunctionType):
            yield from self._function(x, where)
        elif isinstance(x, type):
            yield from self._class(x, where)
        elif isinstance(x, ModuleType):
            yield x.__name__.encode()
        elif isinstance(x, MethodType):
            yield from self.of(x.__func__, where, strict)
            yield from self.of(x.__self__, where, strict)
        elif isinstance(x, staticmethod | classmethod):
            yield from self.of(x.__func__, where, strict)
        elif isinstance(x, property):
            yield from self.of((x.fget, x.fset), where, strict)
        elif isinstance(x, functools.partial):
            yield from self.of((x.func, x.args, x.keywords), where, strict)
        elif hasattr(x, "__dict__") and not isinstance(x, _HIDDEN) and not any(_slots(c) for c in type(x).__mro__):
            yield from self.of(type(x), where, strict)
            for name, value in sorted(vars(x).items()):
                yield from self.of(value, f"{where}.{name}", strict)
        elif strict:
            raise _unknown(where, x)

    def _class(self, cls: type, where: str) -> Iterator[bytes]:
        for base in cls.__mro__:
            yield f"{base.__module__}.{base.__qualname__}".encode()
            if base in self.without or not own(base):
                continue
            for name, value in sorted(self._names(base).items()):
                if name not in _NOT_CODE:
                    yield name.encode()
                    yield from self.of(value, where, strict=False)

    def _function(self, function: FunctionType, where: str) -> Iterator[bytes]:
        yield function.__qualname__.encode()
        if not own(function):
            yield function.__module__.encode()
            return
        yield from self._code(function.__code__, function, where)
        try:
            cells = [cell.cell_contents for cell in function.__closure__ or ()]
        except ValueError:  # a name that was not given a value yet
            cells = []
        yield from self.of((function.__defaults__, function.__kwdefaults__, cells), where, strict=False)

    def _code(self, code: CodeType, function: FunctionType, where: str) -> Iterator[bytes]:
        yield code.co_code
        yield repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self._code(constant, function, where)
            elif constant != function.__doc__:
                yield from self.of(constant, where)
        names, known = code.co_names, self._names(function.__globals__)
        modules = list(() if self.alone else _imported(code, function))
        for name in names:
            used = known.get(name)
            if self.alone and getattr(used, "__module__", function.__module__) != function.__module__:
                continue  # of another module; numbers and texts have none
            if self.alone and isinstance(used, ModuleType):
                continue
            if isinstance(used, ModuleType) and own(used):
                modules.append(used)
            elif used is not None:
                yield from self.of(used, where, strict=False)
        for module in modules:  # which grow: of lab.filters.blur lab is named alone
            held = self._names(vars(module))
            for used in (held.get(name) for name in names):
                if isinstance(used, ModuleType) and own(used) and used not in modules:
                    modules.append(used)
                yield from self.of(used, where, strict=False)


def _imported(code: CodeType, function: FunctionType) -> Iterator[ModuleType]:
    """What code imports as it runs, of this package or the user's; nothing of what it would fail to import."""
    for told in _import_names(code):
        with suppress(Exception, SystemExit):  # what a script ends with that has no guard
            name = resolve_name(told, function.__globals__.get("__package__"))
            package = name.partition(".")[0]
            if package not in sys.stdlib_module_names and (spec := find_spec(package)) is not None:
                place = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
                if not installed(place):
                    yield import_module(name)


@functools.lru_cache(10_000)  # a run describes its code twenty times
def _import_names(code: CodeType) -> tuple[str, ...]:
    steps = list(dis.get_instructions(code))
    found = zip(steps, steps[1:], steps[2:], strict=False)
    return tuple("." * level.argval + name.argval for level, _, name in found if name.opname == "IMPORT_NAME")


def _slots(cls: type) -> bool:
    return bool(vars(cls).get("__slots__"))


def _unknown(where: str, x: object) -> UserError:
    return UserError(
        f"the degradation holds a {type(x).__name__} in {where}, of which no key can be made, so that LR of another "
        "one could be taken from the cache. Keep numbers, text, arrays, tensors, paths, or lists and dicts of them "
        "there, or give the step a property `key`: a text that names all that its result depends on"
    )
