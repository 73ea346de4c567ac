"""A recording of ATen calls as a module: the calls again, with fresh weights.

Recordings (:mod:`archcast.encoders._torch.record`) hold operators, shapes, scalars and small
constants, so a zoo's model or foreign code runs again without the package it came from. Numbers of
larger buffers are not kept: where a network needs them (tables of relative positions), there is no
replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, Final

import torch
from torch import Tensor, nn

from archcast.encoders._torch.capture import Recording, Ref, Shape, Step
from archcast.encoders.errors import ShapeError, UnreadableModelError
from archcast.zero_cost.source._batching import Reshapes, fitted
from archcast.zero_cost.source._network import Result, SourceNetwork
from archcast.zero_cost.source._weights import Draw, Role

_NORM: Final = "aten.batch_norm.default"
_VIEWS: Final = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
#: (operator, operand) -> what the operand is for.
_ROLES: Final[dict[tuple[str, int], Role]] = {
    **{(op, 1): "kernel" for op in ("conv1d", "conv2d", "conv3d", "convolution")},
    **{(op, 1): "transposed" for op in ("conv_transpose1d", "conv_transpose2d")},
    **{(op, 2): "shift" for op in ("conv1d", "conv2d", "conv3d", "convolution", "linear")},
    ("linear", 1): "columns",
    ("matmul", 1): "rows",
    ("batch_norm", 1): "scale",
    ("batch_norm", 2): "shift",
    ("layer_norm", 2): "scale",
    ("layer_norm", 3): "shift",
    ("group_norm", 2): "scale",
    ("group_norm", 3): "shift",
    ("instance_norm", 1): "scale",
    ("instance_norm", 2): "shift",
    ("embedding", 0): "table",
    **{(op, i): "shift" for op in ("add", "add_", "sub") for i in (0, 1)},
    **{(op, i): "scale" for op in ("mul", "mul_", "div") for i in (0, 1)},
    ("prelu", 1): "slope",
}


class RecordedNetwork(SourceNetwork):
    """The network of a recording, its weights drawn by the seed.

    Args:
        recording: of one example, in evaluation mode; dropout stays off.
        seed: of the drawing.

    Raises:
        UnreadableModelError: it needs numbers or operators that are not there.
    """

    def __init__(self, recording: Recording, seed: int) -> None:
        super().__init__()
        self.recording = recording
        self.input_names = list(recording.inputs)
        self.input_shapes = [shape.dims for shape in recording.inputs.values()]
        self.input_types = [
            torch.float32 if shape.floating else torch.int64 for shape in recording.inputs.values()
        ]
        self._shapes = _shapes(recording)
        self._targets = [_target(step) for step in recording.steps]
        self._names: dict[str, str] = {}
        self.weights = nn.ParameterDict()
        self._register(seed)

    def _register(self, seed: int) -> None:
        draw, roles = Draw(seed), _roles(self.recording)
        statistics = _statistics(self.recording)
        used = {name for step in self.recording.steps for name in _references(step)}
        for name, (shape, qualified, trained) in self.recording.weights.items():
            kind = torch.float32 if shape.floating else torch.int64
            if trained:
                made = draw(torch.empty(shape.dims, device="meta"), roles.get(name, "other"))
                self.weights[name] = nn.Parameter(made)
            elif name in self.recording.values:
                self.register_buffer(name, torch.tensor(self.recording.values[name], dtype=kind))
            elif name in statistics:
                self.register_buffer(name, torch.full(shape.dims, statistics[name]))
            elif name in used:
                raise UnreadableModelError(
                    f"the recording lacks the numbers of {qualified!r}; "
                    "install the package that the network comes from"
                )

    def mixes_samples(self) -> bool:
        """Whether there is a batch norm in training mode."""
        return self.training and any(step.target == _NORM for step in self.recording.steps)

    def run(self, inputs: tuple[Tensor, ...], reshapes: Reshapes) -> Result:
        """Make the recorded calls; see :meth:`SourceNetwork.run`."""
        values: dict[str, Any] = dict(zip(self.input_names, inputs, strict=True))
        values.update(self.weights)
        values.update(self.named_buffers(recurse=False))
        device = inputs[0].device
        fit = reshapes.mode == "fit"
        for step, target in zip(self.recording.steps, self._targets, strict=True):
            if target is None:
                values[step.name] = values[step.args[0].name][step.args[1]]
                continue
            arguments = [_filled(a, values, device) for a in step.args]
            keywords = {k: _filled(v, values, device) for k, v in step.kwargs.items()}
            if step.target == _NORM:
                arguments = _normed(arguments, self.training)
            elif fit:
                self._fit(step, arguments)
            try:
                values[step.name] = target(*arguments, **keywords)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                line = str(error).partition("\n")[0][:160]
                raise ShapeError(f"operator {step.target} ({step.name}): {line}") from error
        results = tuple(values[name] for name in self.recording.outputs)
        return results[0] if len(results) == 1 else results

    def _fit(self, step: Step, arguments: list[Any]) -> None:
        """Change what a call says about the batch of the recording."""
        if step.target in _VIEWS or step.target == "aten.expand.default":
            x, own = arguments[0], self._shapes.get(step.args[0].name)
            after = self._shapes.get(step.name)
            if own is None or after is None or tuple(x.shape) == own:
                return
            if step.target in _VIEWS:
                arguments[1] = fitted(tuple(x.shape), own, after)
                return
            grown = [-1 if n != o else None for n, o in zip(x.shape, own, strict=True)]
            lead = len(after) - len(own)
            arguments[1] = [
                *after[:lead],
                *(g or n for g, n in zip(grown, after[lead:], strict=True)),
            ]
        elif step.target == "aten.cat.default":
            parts, axis = arguments[0], (arguments[1:] or [0])[0]
            most = max(part.shape[0] for part in parts)
            if axis % parts[0].dim():
                arguments[0] = [
                    part if part.shape[0] == most else part.expand(most, *part.shape[1:])
                    for part in parts
                ]


def _normed(arguments: list[Any], training: bool) -> list[Any]:
    """The operands of a batch norm, which never changes its statistics."""
    x, scale, shift, mean, variance, _, momentum, epsilon, fast = arguments
    kept = (None, None) if training else (mean, variance)
    return [x, scale, shift, *kept, training or mean is None, momentum, epsilon, fast]


def _filled(value: Any, values: dict[str, Any], device: torch.device) -> Any:
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, list):
        return [_filled(v, values, device) for v in value]
    if isinstance(value, str):
        if value.startswith("torch."):
            return getattr(torch, value.removeprefix("torch."))
        return device if value in ("meta", "cpu") else value
    return value


def _target(step: Step) -> Any:
    """The operator of a step; None for taking one of several results."""
    if "getitem" in step.target:
        return None
    library, *path = step.target.split(".")
    if library != "aten":
        raise UnreadableModelError(f"operator {step.target} ({step.name}) is not known")
    try:
        return reduce(getattr, path, torch.ops.aten)
    except AttributeError as error:
        raise UnreadableModelError(
            f"operator {step.target} ({step.name}) is not known to this version of torch"
        ) from error


def _shapes(recording: Recording) -> dict[str, tuple[int, ...]]:
    found = {name: shape.dims for name, shape in recording.inputs.items()}
    found |= {name: shape.dims for name, (shape, *_) in recording.weights.items()}
    for step in recording.steps:
        if isinstance(step.result, Shape):
            found[step.name] = step.result.dims
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, Step):
        yield from _references([*value.args, *value.kwargs.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _references(item)


def _roles(recording: Recording) -> dict[str, Role]:
    found: dict[str, Role] = {}
    for step in recording.steps:
        op = step.target.split(".")[1] if "." in step.target else step.target
        for place, value in enumerate(step.args):
            if isinstance(value, Ref) and (op, place) in _ROLES:
                found.setdefault(value.name, _ROLES[op, place])
    return found


def _statistics(recording: Recording) -> dict[str, float]:
    """Running means and variances of batch norms, as they are before any training."""
    found: dict[str, float] = {}
    for step in recording.steps:
        if step.target == _NORM:
            for place, start in ((3, 0.0), (4, 1.0)):
                if isinstance(step.args[place], Ref):
                    found[step.args[place].name] = start
    return found
