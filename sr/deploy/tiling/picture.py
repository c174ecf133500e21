"""A tensor that writes down what a network does to it: the network's own forward becomes a graph of `Node`s.

Nothing is computed. Operations that are known to be local, below, get the rule that says which part they need; every
other one looks at the whole and is made of the whole, which is right for any and costs its memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from sr.deploy.tiling.nodes import Constant, Node, Pointwise, Rule, Whole

POINTWISE = {
    "abs", "add", "bfloat16", "celu", "channel_shuffle", "clamp", "clamp_max", "clamp_min", "clip",
    "clone", "contiguous", "detach", "div", "divide", "double", "dropout", "elu", "erf", "exp", "expand_as",
    "float", "gelu", "half", "hardsigmoid", "hardswish", "hardtanh", "iadd", "imul", "isub", "itruediv",
    "leaky_relu", "lerp", "log", "maximum", "minimum", "mish", "mul", "multiply", "neg", "ones_like", "pow",
    "prelu", "radd", "rdiv", "reciprocal", "relu", "relu6", "rmul", "rpow", "rsqrt", "rsub", "rtruediv", "selu",
    "sigmoid", "sign", "silu", "softplus", "sqrt", "square", "sub", "subtract", "tanh", "to", "true_divide",
    "truediv", "type_as", "where", "zeros_like",
}  # fmt: skip
# Operations on dimensions before rows and columns: where their arguments name these dimensions.
BY_DIMENSION = {
    "cat": (1, 0), "concat": (1, 0), "split": (2, 0), "chunk": (2, 0), "unbind": (1, 0), "narrow": (1, None),
    "select": (1, None), "squeeze": (1, None), "sum": (1, None), "mean": (1, None), "amax": (1, None),
    "amin": (1, None), "softmax": (1, None), "flip": (1, None), "index_select": (1, None), "roll": (2, None),
    "stack": (1, 0), "unsqueeze": (1, None),
}  # fmt: skip
VIEWS = {  # which share the memory of what they are made of, or may
    "getitem", "split", "chunk", "unbind", "narrow", "select", "squeeze", "unsqueeze", "view", "reshape", "flatten",
    "unflatten", "expand", "expand_as", "transpose", "permute", "detach", "contiguous", "to", "float", "type_as",
    "view_as", "movedim", "swapaxes", "unfold", "diagonal", "dropout",
}  # fmt: skip
IN_PLACE = {"iadd", "isub", "imul", "itruediv", "ipow"}
UNHEARD = {"setitem", "set"}
MOVED = {"grid_sample", "grid_sampler"}  # whose maps of the whole take more than the picture made at once
NEW_DIMENSION = {"stack", "unsqueeze"}
SHAPES = {"view", "reshape", "flatten", "unflatten"}
KINDS: dict[str, Callable[..., Any]] = {}  # of operations by name, from torch's own arguments; None: not this case


def kind(function: Callable[..., Any]) -> Callable[..., Any]:
    """Known under its name without the underscore before it."""
    KINDS[function.__name__[1:]] = function
    return function


class Picture(Tensor):
    """The result of a `Node`, of which there is only the shape."""

    node: Node
    shared: bool = False  # it has or is a view

    @staticmethod
    def of(node: Node) -> "Picture":
        picture = torch.empty(node.shape, dtype=node.dtype, device="meta").as_subclass(Picture)
        picture.node = node
        return picture

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        raw = getattr(func, "__name__", "")
        name = raw.strip("_")
        if func == Tensor.device.__get__:  # made anew by each look
            return args[0].node.device
        if raw == "__get__":  # its shape, its type
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args)
        if name in UNHEARD or "out" in kwargs:
            raise NotImplementedError(f"{name} into a part of a tensor")
        if name in MOVED:
            raise NotImplementedError(f"{name} takes features from places that the network computes")
        found = made(*args, **kwargs) if (made := KINDS.get(name)) else None
        if found is None:
            found = _recorded(func, name, args, kwargs)
        if name in VIEWS:
            for x in tree_leaves((args, kwargs, found)):
                if isinstance(x, Picture):
                    x.shared = True
        if not kwargs.get("inplace") and name not in IN_PLACE and (raw[-2:-1] == "_" or raw[-1:] != "_"):
            return found
        if args[0].shared:
            raise NotImplementedError(f"{name} in place, of a tensor that shares its memory")
        args[0].node = found.node
        return args[0]


def _recorded(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """What an operation makes that KINDS does not know."""
    with torch._C.DisableTorchFunctionSubclass():
        shaped = func(*tree_map(_shape, args), **tree_map(_shape, kwargs))
    results = [shaped] if isinstance(shaped, Tensor) else shaped
    if not isinstance(results, tuple | list) or not all(isinstance(r, Tensor) for r in results):
        return shaped  # a shape, a type
    call, pictures = _call(func, args, kwargs)
    found = []
    for n, result in enumerate(results):
        one = call if isinstance(shaped, Tensor) else _item(call, n)
        found.append(Picture.of(_node(name, func, args, kwargs, result, one, pictures)))
    return found[0] if isinstance(shaped, Tensor) else type(shaped)(found)


def _shape(x: Any) -> Any:
    return x.to("meta") if isinstance(x, Tensor) and not isinstance(x, Picture) else x


def _item(call: Callable[..., Any], n: int) -> Callable[..., Tensor]:
    def item(*parts: Tensor) -> Tensor:
        return call(*parts)[n]

    return item


def _call(func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Callable[..., Any], list[Node]]:
    """The operation as a function of its pictures, which it leaves as they are, and these."""
    copied = bool(kwargs.get("inplace")) or getattr(func, "__name__", "").endswith("_")
    leaves, form = tree_flatten((args, kwargs))
    places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, Picture)]
    pictures = [leaves[n].node for n in places]

    def call(*parts: Tensor) -> Any:
        filled = list(leaves)
        for n, part in zip(places, parts, strict=True):
            filled[n] = part.clone() if copied and n == places[0] else part
        own, named = tree_unflatten(filled, form)
        return func(*own, **named)

    return call, pictures


def _node(
    name: str, func: Any, args: Any, kwargs: Any, result: Tensor, call: Callable[..., Any], pictures: list[Node]
) -> Node:
    """Of an operation that KINDS does not know."""
    first: Any = args[0] if args else None
    n = first.ndim if isinstance(first, Tensor) else first[0].ndim if isinstance(first, list | tuple) else 0
    rule: Rule = Whole(call, name)
    if name in POINTWISE:
        args, kwargs = _with_constants(name, args, kwargs)
        call, pictures = _call(func, args, kwargs)
        rule = Pointwise(call)
    elif name in BY_DIMENSION and n > 2 and _leading(name, args, kwargs, n):
        rule = Pointwise(call, pictures if name in ("cat", "concat") else ())
    elif name in SHAPES and n > 2 and result.ndim > 2 and result.shape[-2:] == first.shape[-2:]:
        lead = result.shape[:-2]
        rule = Pointwise(lambda x: x.reshape(*lead, *x.shape[-2:]))
    elif name == "expand" and n > 2 and result.shape[-2:] == first.shape[-2:]:
        lead = result.shape[:-2]
        rule = Pointwise(lambda x: x.expand(*lead, -1, -1))
    return Node(result.shape, result.dtype, pictures, rule)


def _leading(name: str, args: Any, kwargs: Any, n: int) -> bool:
    """Whether the operation works on dimensions before rows and columns alone."""
    place, default = BY_DIMENSION[name]
    given = kwargs.get("dims", kwargs.get("dim", args[place] if len(args) > place else default))
    if given is None:
        return False
    n += name in NEW_DIMENSION
    return all(isinstance(d, int) and d % n < n - 2 for d in (given if isinstance(given, list | tuple) else [given]))


def _with_constants(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Tensors of the network that have a value for each place become pictures, so that their parts are taken."""
    if name == "prelu":  # a value a channel
        return args, kwargs

    def constant(x: Any) -> Any:
        if not isinstance(x, Tensor) or isinstance(x, Picture) or x.shape[-2:].numel() == 1:
            return x
        x = x[None] if x.ndim == 1 else x
        return Picture.of(constant_node(x))

    return tree_map(constant, args), tree_map(constant, kwargs)


def constant_node(x: Tensor) -> Node:
    """Of a tensor of the network."""
    return Node(x.shape, x.dtype, [], Constant(x), device=x.device)


def local(x: Picture, shape: Sequence[int], rule: Rule, cost: int = 1) -> Picture:
    """The result of an operation on one picture."""
    return Picture.of(Node(shape, x.dtype, [x.node], rule, cost))


def pair(x: Any) -> tuple[int, int]:
    """A number for rows and columns, where one stands for both."""
    return (x, x) if isinstance(x, int) else (tuple(x) * 2)[:2]
