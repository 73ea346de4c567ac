"""Record what a module computes by watching its operators run, many times faster than exporting.

``torch.export`` verifies, functionalises and re-traces; a graph needs none of that. A dispatch mode
before autograd sees the same ATen operators while the module runs once, on the meta device or on
real tensors. The price: control flow that depends on numbers takes the path of this one example
without a warning (on the meta device it raises). It uses torch's mode for tracing before dispatch,
which has no stable public form; where it is missing, :func:`available` says so.
"""

from __future__ import annotations

from typing import Any

from archcast.encoders._torch.capture import Recording, Ref, Shape, Step

#: Numbers of constants up to this many elements are kept: rules depend on scalars and short lists.
_KEPT = 64


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

    training = module.training
    module.eval()
    watcher = _watcher()
    try:
        with torch.no_grad():
            for index, tensor in enumerate(args):
                watcher.input(f"input_{index}", tensor)
            for name, tensor in module.named_parameters():
                watcher.weight(name, tensor, trained=True)
            for name, tensor in module.named_buffers():
                watcher.weight(name, tensor, trained=False)
            with enable_python_dispatcher(), watcher:
                result = module(*args)
    finally:
        module.train(training)
    watcher.recording.outputs = [watcher.name(t) for t in _tensors(result)]
    if not watcher.recording.outputs:
        raise ValueError(f"the module gives {type(result).__name__}, not a tensor")
    return watcher.recording


def available() -> bool:
    """Whether this version of torch has what the recorder needs."""
    import torch

    try:
        from torch._dispatch.python import enable_python_dispatcher

        with enable_python_dispatcher(), _watcher() as watcher:
            torch.zeros(1)
    except (AttributeError, ImportError, TypeError, AssertionError):
        return False
    return [s.target for s in watcher.recording.steps] == ["aten.zeros.default"]


def _watcher() -> Any:
    import torch
    from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watcher(ProxyTorchDispatchMode):
        """Only modes of that class may stand before autograd; nothing else of it is used."""

        def __init__(self) -> None:
            TorchDispatchMode.__init__(self, torch._C.DispatchKey.PreDispatch)  # pyright: ignore
            self.pre_dispatch = True
            self._mode_key = torch._C._TorchDispatchModeKey.PROXY
            self.enter_stack = []
            self.recording = Recording()
            self.names: dict[int, str] = {}
            self.alive: list[Any] = []  # an address must not be used twice

        def input(self, name: str, tensor: Any) -> None:
            self.recording.inputs[name] = _shape(tensor)
            self._bind(tensor, name)

        def weight(self, qualified: str, tensor: Any, *, trained: bool) -> None:
            name = f"{'p' if trained else 'b'}_{len(self.recording.weights)}"
            self.recording.weights[name] = (_shape(tensor), qualified, trained)
            self._bind(tensor, name)
            self._keep_numbers(tensor, name)

        def name(self, tensor: Any) -> str:
            """The name of a tensor; one that no operator made is a constant of the module."""
            if id(tensor) not in self.names:
                name = f"c_{len(self.recording.weights)}"
                self.recording.weights[name] = (_shape(tensor), name, False)
                self._bind(tensor, name)
                self._keep_numbers(tensor, name)
            return self.names[id(tensor)]

        def _bind(self, tensor: Any, name: str) -> None:
            self.names[id(tensor)] = name
            self.alive.append(tensor)

        def _keep_numbers(self, tensor: Any, name: str) -> None:
            if tensor.numel() <= _KEPT and tensor.device.type != "meta":
                self.recording.values[name] = tensor.tolist()

        def _plain(self, value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return Ref(self.name(value))
            if isinstance(value, (list, tuple)):
                return [self._plain(v) for v in value]
            if isinstance(value, (bool, int, float, str, type(None))):
                return value
            return str(value)

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            target = str(func)
            if target.startswith("prim."):
                return func(*args, **kwargs)
            plain = self._plain(args), {k: self._plain(v) for k, v in kwargs.items()}
            result = func(*args, **kwargs)
            step = Step(f"s{len(self.recording.steps)}", target, tuple(plain[0]), plain[1], None)
            step.result = _shapes(result)
            self.recording.steps.append(step)
            self._bind_results(step.name, result)
            return result

        def _bind_results(self, name: str, result: Any) -> None:
            if isinstance(result, torch.Tensor):
                self._bind(result, name)
            elif isinstance(result, (list, tuple)):
                for index, item in enumerate(result):
                    if isinstance(item, torch.Tensor):
                        part = f"{name}.{index}"
                        get = Step(part, "getitem", (Ref(name), index), {}, _shape(item))
                        self.recording.steps.append(get)
                        self._bind(item, part)

    return Watcher()


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
