"""Record what a module computes by watching its operators run, many times faster than exporting.

``torch.export`` verifies, functionalises and re-traces; a graph needs none of that. A dispatch mode
before autograd sees the same ATen operators while the module runs once, on the meta device or on
real tensors. The price: control flow that depends on numbers takes the path of this one example
without a warning (on the meta device it raises). It uses torch's mode for tracing before dispatch,
which has no stable public form; where it is missing, :func:`available` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from archcast.encoders._torch.capture import Recording, Ref, Shape, Step, evaluating

#: Numbers of constants up to this many elements are kept: rules depend on scalars and short lists.
_KEPT = 64
#: On the meta device only shapes are worked out. These operators' results are like their operand,
#: which torch takes a millisecond of Python each to find.
_LIKE = frozenset(
    f"aten.{name}.default"
    for name in ("batch_norm", "gelu", "hardswish", "layer_norm", "relu", "sigmoid", "silu")
)
_INPLACE = frozenset(
    f"aten.{name}_.default" for name in ("hardswish", "hardtanh", "relu", "sigmoid", "silu")
)


def record(module: Any, args: tuple[Any, ...]) -> Recording:
    """Record ``module(*args)`` in evaluation mode.

    Args:
        module: a ``torch.nn.Module``; on the meta device nothing is computed.
        args: example tensors on the module's device; shapes count, numbers do not.

    Returns:
        A recording that lowers to the graph of
        :func:`archcast.encoders._torch.capture.capture`'s.

    Raises:
        ValueError: the module gives no tensor.
    """
    import torch
    from torch._dispatch.python import enable_python_dispatcher

    notes = _Notes(torch.Tensor)
    with evaluating(module), torch.no_grad():
        for index, tensor in enumerate(args):
            notes.input(f"input_{index}", tensor)
        for name, tensor in module.named_parameters():
            notes.weight(name, tensor, trained=True)
        for name, tensor in module.named_buffers():
            notes.weight(name, tensor, trained=False)
        with enable_python_dispatcher(), _watcher()(notes):
            result = module(*args)
    notes.recording.outputs = [notes.name(tensor) for tensor in _tensors(result)]
    if not notes.recording.outputs:
        raise ValueError(f"the module gives {type(result).__name__}, not a tensor")
    return notes.recording


def available() -> bool:
    """Whether this version of torch has what the recorder needs."""
    import torch

    notes = _Notes(torch.Tensor)
    try:
        from torch._dispatch.python import enable_python_dispatcher

        with enable_python_dispatcher(), _watcher()(notes):
            torch.zeros(1)
    except (AttributeError, ImportError, TypeError, AssertionError):
        return False
    return [step.target for step in notes.recording.steps] == ["aten.zeros.default"]


class _Notes:
    """The recording so far, and what every tensor is called."""

    def __init__(self, tensor_type: type) -> None:
        self.recording = Recording()
        self._tensor = tensor_type
        self._names: dict[int, str] = {}
        self._alive: list[Any] = []  # an address must not be used twice

    def input(self, name: str, tensor: Any) -> None:
        self.recording.inputs[name] = _shape(tensor)
        self._bind(tensor, name)

    def weight(self, qualified: str, tensor: Any, *, trained: bool) -> None:
        name = f"{'p' if trained else 'b'}_{len(self.recording.weights)}"
        self._constant(name, qualified, tensor, trained)

    def name(self, tensor: Any) -> str:
        """The name of a tensor; one that no operator made is a constant of the module."""
        if id(tensor) not in self._names:
            name = f"c_{len(self.recording.weights)}"
            self._constant(name, name, tensor, trained=False)
        return self._names[id(tensor)]

    def plain(self, value: Any) -> Any:
        """An argument as the recording has it."""
        if isinstance(value, self._tensor):
            return Ref(self.name(value))
        if isinstance(value, (list, tuple)):
            return [self.plain(v) for v in value]
        if isinstance(value, (bool, int, float, str, type(None))):
            return value
        return str(value)

    def step(self, target: str, args: list[Any], kwargs: dict[str, Any], result: Any) -> None:
        name = f"s{len(self.recording.steps)}"
        self.recording.steps.append(Step(name, target, tuple(args), kwargs, _shapes(result)))
        if isinstance(result, self._tensor):
            self._bind(result, name)
        elif isinstance(result, (list, tuple)):
            self._parts(name, result)

    def _parts(self, name: str, results: Sequence[Any]) -> None:
        for index, item in enumerate(results):
            if isinstance(item, self._tensor):
                part = f"{name}.{index}"
                get = Step(part, "getitem", (Ref(name), index), {}, _shape(item))
                self.recording.steps.append(get)
                self._bind(item, part)

    def _constant(self, name: str, qualified: str, tensor: Any, trained: bool) -> None:
        self.recording.weights[name] = (_shape(tensor), qualified, trained)
        self._bind(tensor, name)
        known = tensor.device.type != "meta" and not tensor.is_complex()
        if known and tensor.numel() <= _KEPT:
            self.recording.values[name] = tensor.tolist()

    def _bind(self, tensor: Any, name: str) -> None:
        self._names[id(tensor)] = name
        self._alive.append(tensor)


@cache
def _watcher() -> Any:
    """The class of the dispatch mode; a class of torch's, so made when torch is first needed."""
    import torch
    from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watcher(ProxyTorchDispatchMode):
        """Only modes of that class may stand before autograd; nothing else of it is used."""

        def __init__(self, notes: _Notes) -> None:
            TorchDispatchMode.__init__(self, torch._C.DispatchKey.PreDispatch)
            self.pre_dispatch = True
            self._mode_key = torch._C._TorchDispatchModeKey.PROXY
            self.enter_stack = []
            self.notes = notes

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            target = str(func)
            if target.startswith("prim."):
                return func(*args, **kwargs)
            # Named before the call: an operator in place gives its operand a new name.
            named = self.notes.plain(args), {k: self.notes.plain(v) for k, v in kwargs.items()}
            meta = bool(args) and isinstance(args[0], torch.Tensor) and args[0].is_meta
            if meta and target in _INPLACE:
                result = args[0]
            elif meta and target in _LIKE:
                result = torch.empty_like(args[0])
            else:
                result = func(*args, **kwargs)
            self.notes.step(target, *named, result)
            return result

    return Watcher


def _shape(tensor: Any) -> Shape:
    dims = tuple(int(d) for d in tensor.shape)
    return Shape(dims, bool(tensor.dtype.is_floating_point or tensor.dtype.is_complex))


def _shapes(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_shapes(v) for v in value]
    return _shape(value) if hasattr(value, "dtype") and hasattr(value, "shape") else None


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for item in value for t in _tensors(item)]
    return [value] if hasattr(value, "dtype") and hasattr(value, "shape") else []
