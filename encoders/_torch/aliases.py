"""Which tensors of a recording share memory, so that writing into one reaches the others.

Every tensor lies in a *frame*, a tensor it is cut out of, and there in a box. A view that changes
the order of dimensions, or what they are, is a frame of its own above another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from archcast.encoders._torch.call import Lowering
from archcast.encoders._torch.capture import Ref, Shape, Step
from archcast.encoders._trace import Tensor

#: Their result shares memory with their first operand, and has all of its numbers.
_WHOLE: Final = frozenset(
    ("view", "view_as", "alias", "detach", "unsqueeze", "squeeze", "unflatten", "view_as_real",
     "view_as_complex")
)  # fmt: skip
#: Likewise, but the numbers lie in another order, or only some or copies of them are there.
_MOVED: Final = frozenset(
    ("permute", "transpose", "t", "numpy_T", "adjoint", "movedim", "moveaxis", "swapaxes",
     "swapdims", "expand", "expand_as", "broadcast_to", "unfold", "as_strided", "real", "imag",
     "diagonal", "hsplit", "vsplit")
)  # fmt: skip
#: Likewise only where the numbers lie in order; else they are copied.
_IN_ORDER: Final = frozenset(("reshape", "reshape_as", "flatten", "contiguous"))
#: Nothing happens to numbers when a network is evaluated.
_DROPOUT: Final = frozenset(("dropout", "feature_dropout", "alpha_dropout"))
#: Operator -> place of the dimension among its arguments.
_CUTS: Final[dict[str, int]] = {"slice": 1, "select": 1, "narrow": 1, "unbind": 1, "split": 2,
                "split_with_sizes": 2, "chunk": 2, "tensor_split": 2}  # fmt: skip
#: Operators in place of these names change nothing but the shape.
SHAPES: Final = _WHOLE | _MOVED
Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor lies.

    Attributes:
        root: name of the tensor whose memory it is.
        frame: name of the tensor it is cut out of.
        axes: the dimension of the frame that each of its dimensions is.
        box: the range it has of each dimension of the frame.
        dims: its shape.
        dense: whether its numbers lie in order.
    """

    root: str
    frame: str
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    box: Box
    dense: bool


@dataclass(frozen=True, slots=True)
class _View:
    """How a tensor is made of the one it shares memory with."""

    parent: str
    step: Step
    index: int | None


class Aliases:
    """Keeps the values of tensors that share memory up to date.

    Args:
        lowering: the values of all names.
        run: gives the value of a step, or a list of values.
    """

    def __init__(self, lowering: Lowering, run: Callable[[Step], Any]) -> None:
        self._lowering = lowering
        self._run = run
        self._same: dict[str, str] = {}  # what an operator in place calls its operand
        self._views: dict[str, _View] = {}
        self._places: dict[str, _Place] = {}
        self._several: dict[str, tuple[Step, str]] = {}
        self._writes: dict[str, list[_Place]] = {}  # by root, in order
        self._seen: dict[str, int] = {}  # how many of these a value knows of
        self._filled: set[str] = set()  # constants that were written into

    def refresh(self, value: Any) -> None:
        """Bring every tensor among the arguments of a step up to date."""
        if isinstance(value, Ref):
            if self._writes:
                self._lowering.values[value.name] = self._current(value.name)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.refresh(item)

    def note(self, step: Step, op: str) -> None:
        """A step was run: its result may share memory with its first operand."""
        source = step.args[0] if step.args else None
        if not isinstance(source, Ref):
            return
        if isinstance(step.result, list) and op in _CUTS.keys() | _MOVED:
            self._several[step.name] = (step, op)
        elif isinstance(step.result, Shape):
            self._link(step.name, step, op, None)

    def part(self, name: str, several: str, index: int) -> None:
        """A result of a step that has several."""
        if several in self._several:
            self._link(name, *self._several[several], index)

    def write(self, step: Step, target: Ref) -> None:
        """A step's result was written into an operand."""
        name = self._name(target.name)
        value = self._lowering.values[step.name]
        if not isinstance(value, Tensor):
            return
        self._same[step.name] = name
        place = self._place(name, value)
        self._writes.setdefault(place.root, []).append(place)
        self._set(name, value)
        while (view := self._views.get(name)) is not None:
            whole = self._stale_until_now(view.parent)
            value = self._merged(view.parent, whole, value)
            self._set(view.parent, value)
            name = view.parent

    def reshape(self, step: Step, target: Ref) -> None:
        """An operator gave its operand another shape in place; it counts as another tensor."""
        name = self._name(target.name)
        self._lowering.values[name] = self._lowering.values[step.name]
        self._same[step.name] = name
        for known in (self._views, self._places, self._writes):
            known.pop(name, None)

    # ------------------------------------------------------------------ values
    def _name(self, name: str) -> str:
        return self._same.get(name, name)

    def _set(self, name: str, value: Any) -> None:
        self._lowering.values[name] = value
        place = self._places.get(name)
        self._seen[name] = len(self._writes.get(place.root if place else name, ()))

    def _current(self, name: str, known: int | None = None) -> Any:
        """The value of a name, made anew of what it is a view of if that was written into."""
        name = self._name(name)
        value, view = self._lowering.values.get(name), self._views.get(name)
        if view is None:
            return value
        place = self._places[name]
        writes = self._writes.get(place.root, [])[:known]
        seen = self._seen[name]
        if not any(self._overlap(place, other) for other in writes[seen:]):
            return value
        parent = self._current(view.parent, known)
        self._lowering.values[view.parent] = parent
        self._lowering.values[view.step.args[0].name] = parent
        value = self._run(view.step)
        value = value if view.index is None else value[view.index]
        self._lowering.values[name] = value
        self._seen[name] = len(writes)
        return value

    def _stale_until_now(self, name: str) -> Any:
        """The value before the latest write."""
        place = self._places.get(name)
        root = place.root if place else name
        return self._current(name, len(self._writes[root]) - 1)

    def _merged(self, name: str, whole: Tensor, part: Tensor) -> Tensor:
        """A tensor some of which was overwritten."""
        trace = self._lowering.trace
        if part.size == whole.size:
            return trace.view(part, whole.shape)
        if part.constant:
            return whole
        if whole.constant or name in self._filled:
            self._filled.add(name)  # what is written piece by piece is the pieces side by side
            return trace.concat([whole, part], whole.shape)
        return trace.add("select", [whole, part], whole.shape)

    # ------------------------------------------------------------------ places
    def _place(self, name: str, value: Tensor) -> _Place:
        if name not in self._places:
            self._places[name] = _framed(name, name, value.shape, dense=True)
        return self._places[name]

    def _link(self, name: str, step: Step, op: str, index: int | None) -> None:
        parent = self._name(step.args[0].name)
        value = self._lowering.values.get(parent)
        if not isinstance(value, Tensor):
            return
        above = self._place(parent, value)
        dims = (step.result if index is None else step.result[index]).dims
        cut = _cut(step, op, index, above.dims) if op in _CUTS else None
        if cut is not None:
            place = _within(above, cut, dims)
        elif op in _WHOLE or (op in _DROPOUT and step.args[-1] is False):
            place = _framed(above.root, name, dims, dense=above.dense)
        elif op in _IN_ORDER and above.dense:
            place = _framed(above.root, name, dims, dense=True)
        elif op in _MOVED or op in _CUTS:
            place = _framed(above.root, name, dims, dense=False)
        else:
            return
        self._views[name] = _View(parent, step, index)
        self._places[name] = place
        self._seen[name] = len(self._writes.get(above.root, ()))

    def _overlap(self, one: _Place, other: _Place) -> bool:
        mine = {place.frame: place for place in self._frames(one)}
        for place in self._frames(other):
            if place.frame in mine:
                pairs = zip(mine[place.frame].box, place.box, strict=False)
                return all(a < d and c < b for (a, b), (c, d) in pairs)
        return True

    def _frames(self, place: _Place) -> list[_Place]:
        """The place, and where its frame lies, and where that one's does."""
        found = [place]
        while (view := self._views.get(found[-1].frame)) is not None:
            found.append(self._places[view.parent])
        return found


def _framed(root: str, frame: str, dims: tuple[int, ...], *, dense: bool) -> _Place:
    box = tuple((0, d) for d in dims)
    return _Place(root, frame, dims, tuple(range(len(dims))), box, dense)


def _within(above: _Place, cut: tuple[int, int, int], dims: tuple[int, ...]) -> _Place:
    """A range of one dimension of another place."""
    dim, start, stop = cut
    axis = above.axes[dim]
    box = list(above.box)
    box[axis] = (box[axis][0] + start, box[axis][0] + stop)
    gone = len(dims) < len(above.dims)
    axes = tuple(a for a in above.axes if not gone or a != axis)
    in_order = math.prod(above.dims[:dim]) == 1 or stop - start == above.dims[dim]
    return _Place(above.root, above.frame, dims, axes, tuple(box), above.dense and in_order)


def _cut(
    step: Step, op: str, index: int | None, dims: tuple[int, ...]
) -> tuple[int, int, int] | None:
    """Dimension, start and stop of what an operator takes; None if that cannot be told."""

    def get(place: int, name: str, default: Any) -> Any:
        value = step.args[place] if len(step.args) > place else step.kwargs.get(name)
        return default if value is None else value

    dim, start = get(_CUTS[op], "dim", 0), get(2, "start", 0)
    if not isinstance(dim, int) or not -len(dims) <= dim < len(dims):
        return None
    dim %= len(dims)
    size = dims[dim]
    if index is not None:
        widths = [1 if op == "unbind" else shape.dims[dim] for shape in step.result[: index + 1]]
        return dim, sum(widths[:-1]), sum(widths)
    if op == "select":
        start = get(2, "index", 0)
        stop = start + 1 if isinstance(start, int) and start != -1 else size
    else:
        length = get(3, "length", 0) if op == "narrow" else 0
        stop = start + length if op == "narrow" else get(3, "end", size)
        if get(4, "step", 1) != 1:
            return None
    if not isinstance(start, int) or not isinstance(stop, int):
        return None
    start, stop = (min(max(n + size if n < 0 else n, 0), size) for n in (start, stop))
    return dim, start, stop
