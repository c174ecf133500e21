"""Modules of the user's own: which they are, and what their names and containers held before anything ran.

What code keeps while it runs, as grids by their size in a dict of its module, is no part of that code. And a look at a
network, with images of no values or on another device, leaves nothing there that the network would take up later.
"""

import copy
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

NETWORKS = ("sr.models.", "sr.layers.")  # to which the user may add
DEPTH = 4  # of containers within containers
_known = 0  # which modules there were when it was looked last
_imported: dict[int, tuple[Any, dict[str, Any]]] = {}  # by address: a module's names or a class, and what it held


def own(thing: Any) -> bool:
    """Whether a module, class or function is of this package or the user's, and not of an installed library."""
    name = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__ or ""
    package = name.partition(".")[0]
    if package == "sr":
        return True
    file = getattr(sys.modules.get(package), "__file__", None) or getattr(sys.modules.get(name), "__file__", None)
    return package not in sys.stdlib_module_names and not installed(file)


def holds_code(folder: Path) -> bool:
    """Whether modules of the user's own lie in a folder, as in that of a project."""
    return any(folder.absolute() in file.parents for file in _files())


def beside_code(path: Path) -> bool:
    """Whether a path is of a folder in which modules of the user's own lie, or leads to one."""
    return holds_code(path) or any(file.parent in (path, *path.parents) for file in _files())


def _files() -> set[Path]:
    return {Path(file).absolute() for module in _own_modules() if (file := getattr(module, "__file__", None))}


def installed(file: str | None) -> bool:
    """Whether a file is of an installed library."""
    return bool({"site-packages", "dist-packages"} & {*Path(file or "").parts})


def remember() -> None:
    """Keep what the modules that were imported since hold; to be called before anything of them runs."""
    global _known
    if (now := hash(tuple(map(id, list(sys.modules.values()))))) == _known:
        return
    _known = now
    for module in _own_modules():
        if id(vars(module)) not in _imported:
            _imported[id(vars(module))] = vars(module), _data(vars(module), DEPTH)
            for cls in _classes(module):
                _imported[id(cls)] = cls, _data(vars(cls), DEPTH)


def as_imported(owner: type | dict[str, Any]) -> Mapping[str, Any]:
    """The names of a class, or of a module, with the data that they had when it was imported, where that is known."""
    known, names = _imported.get(id(owner)), vars(owner) if isinstance(owner, type) else owner
    return names if known is None else {n: x for n, x in names.items() if not _is_data(n, x)} | known[1]


@contextmanager
def left_as_it_is(objects: Iterable[Any] = ()) -> Iterator[None]:
    """What code within puts into containers, names and caches of the user's modules is taken out of them again.

    Args:
        objects: whose attributes are left, too.
    """
    networks = [m for m in _own_modules() if not m.__name__.startswith("sr.") or m.__name__.startswith(NETWORKS)]
    owners = [*objects, *networks, *(cls for module in networks for cls in _classes(module))]
    before = [(owner, _data(vars(owner), 0)) for owner in owners]
    held = [pair for _, data in before for pair in _containers(data.values(), DEPTH)]
    functions = [f for owner in owners for f in vars(owner).values() if isinstance(f, functools._lru_cache_wrapper)]
    theirs = {module.__name__ for module in networks}
    caches = [(f, f.cache_info().misses) for f in functions if f.__module__ in theirs]
    try:
        yield
    finally:
        for container, content in held:
            _put_back(container, content)
        for owner, data in before:
            now = _data(vars(owner), 0)
            for name in now.keys() - data.keys():
                delattr(owner, name)
            for name, value in data.items():
                if now.get(name) is not value:
                    setattr(owner, name, value)
        for function, misses in caches:
            if function.cache_info().misses != misses:
                function.cache_clear()


def _own_modules() -> list[ModuleType]:
    found, packages = [], {"__main__": False}  # thousands of modules are of some hundred packages
    for module in [m for m in list(sys.modules.values()) if isinstance(m, ModuleType)]:
        package = module.__name__.partition(".")[0]
        if getattr(sys.modules.get(package), "__file__", None) is None:
            package = module.__name__  # of a folder without __init__.py, of which parts may lie in several places
        if package not in packages:
            packages[package] = own(module)
        if packages[package]:
            found.append(module)
    return found


def _classes(module: ModuleType) -> list[type]:
    return [x for x in vars(module).values() if isinstance(x, type) and x.__module__ == module.__name__]


def _is_data(name: str, x: Any) -> bool:
    code = isinstance(x, (ModuleType, property, staticmethod, classmethod))
    return not (name.startswith("__") or callable(x) or code)


def _data(names: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {name: _copied(x, depth) for name, x in list(names.items()) if _is_data(name, x)}


def _copied(x: Any, depth: int) -> Any:
    if not depth or not isinstance(x, dict | list | set):
        return x
    with suppress(Exception):  # what a container of somebody's own raises
        found: Any = copy.copy(x)
        if not isinstance(x, set):
            for key, inner in x.items() if isinstance(x, dict) else enumerate(x):
                found[key] = _copied(inner, depth - 1)
        return found
    return x


def _containers(values: Iterable[Any], depth: int) -> Iterator[tuple[Any, Any]]:
    """Containers, also within each other, with a copy of what they hold."""
    for x in values:
        if isinstance(x, dict | list | set):
            yield x, _copied(x, 1)
            if depth > 1 and not isinstance(x, set):
                yield from _containers(list(x.values()) if isinstance(x, dict) else x, depth - 1)


def _put_back(container: Any, content: Any) -> None:
    def parts(x: Any) -> list[int]:
        return [id(v) for v in (x.values() if isinstance(x, dict) else x)]

    if parts(container) != parts(content):
        container.clear()
        (container.extend if isinstance(container, list) else container.update)(content)
