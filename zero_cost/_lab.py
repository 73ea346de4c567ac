"""``Lab``: a few architectures, and the passes through them that proxies share.

A proxy asks for what it needs, and what several need happens once: a forward pass feeds all
observers, one backward pass of the loss all saliencies, one of the outputs all Jacobians.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import prod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._data import Data
from archcast.zero_cost._execute import Mode, Source, Step, execute
from archcast.zero_cost._program import Program, Weight
from archcast.zero_cost._weights import Weights


class Observer:
    """Sees every call of a forward pass in training mode, and gives scores at its end.

    Subclasses keep no step: what they need of it is computed at once, and small.

    Attributes:
        samples: samples in the pass it wants to see; as many as the lab has if None.
        programs: the G architectures.
        reasons: architecture -> why it has no score.
    """

    samples: ClassVar[int | None] = None

    def __init__(self, programs: Sequence[Program]) -> None:
        self.programs = programs
        self.reasons: dict[int, str] = {}

    def see(self, step: Step) -> None:
        """Take note of a call."""
        raise NotImplementedError

    def scores(self) -> Tensor:
        """(G,) scores, higher is better; NaN where :attr:`reasons` says why."""
        raise NotImplementedError


class LayerSum(Observer):
    """An observer whose score is made of a sum over calls.

    Subclasses give :meth:`layer`, and :meth:`finish` if the sum itself is not the score. An
    architecture none of whose calls counted has no score.
    """

    #: What an architecture without a score lacks.
    lacks: ClassVar[str] = "no layer that the proxy looks at"

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs)
        self.total: Tensor | None = None
        self.count = torch.zeros(len(programs), dtype=torch.int64)

    def layer(self, step: Step) -> Tensor | None:
        """(K, …) float64 contributions of a call's copies, or None if it does not count."""
        raise NotImplementedError

    def times(self, program: Program, node: int) -> int:
        """How often a node counts."""
        return 1

    def finish(self, total: Tensor) -> Tensor:
        """(G, …) sums to (G,) scores."""
        return total

    def see(self, step: Step) -> None:
        """Add a call to the sums of all architectures it stands for."""
        found = self.layer(step)
        if found is None:
            return
        found = found.to(torch.float64)
        if self.total is None:
            shape = (len(self.programs), *found.shape[1:])
            self.total = torch.zeros(shape, dtype=torch.float64, device=found.device)
        rows = [a for owners in step.owners for a, _ in owners]
        self.count.index_add_(0, torch.tensor(rows), torch.ones(len(rows), dtype=torch.int64))
        # A sum in a fixed order: index_add_ on a GPU would add in any.
        for k, owners in enumerate(step.owners):
            for a, node in owners:
                self.total[a] += found[k] * self.times(self.programs[a], node)

    def scores(self) -> Tensor:
        """(G,) scores."""
        for a in (self.count == 0).nonzero().flatten().tolist():
            self.reasons[a] = self.lacks
        if self.total is None:
            return torch.full((len(self.programs),), float("nan"), dtype=torch.float64)
        found = self.finish(self.total).cpu()
        return torch.where(self.count == 0, float("nan"), found)


class Lab:
    """A few architectures under examination; G of them, B samples.

    Args:
        programs: the architectures.
        weights: their fresh weights.
        data: what they are fed with.
        observers: see the forward passes.
        width: architectures whose operators may run in one call.
        differentiate: whether gradients will be asked for; the forward pass then keeps what they
            need.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        weights: Weights,
        data: Data,
        observers: Iterable[Observer] = (),
        *,
        width: int = 1,
        differentiate: bool = False,
    ) -> None:
        self.programs, self.weights, self.data = programs, weights, data
        self.width, self.differentiate = width, differentiate
        self.reasons: dict[int, str] = {}
        self._observers = list(observers)

    def __len__(self) -> int:
        return len(self.programs)

    def run(
        self,
        *,
        source: Source | None = None,
        weights: Callable[[Weight], Tensor] | None = None,
        mode: Mode | None = None,
        observe: Callable[[Step], None] | None = None,
    ) -> list[list[Tensor]]:
        """A pass of one's own through all architectures; see :func:`execute`."""
        return execute(
            self.programs,
            source or self.data,
            weights or self.weights,
            mode or Mode(width=self.width),
            observe,
        )

    def watch(self) -> None:
        """Run the forward passes that the observers want to see, once."""
        waiting, self._observers = self._observers, []
        for samples in dict.fromkeys(observer.samples for observer in waiting):
            seeing = [o for o in waiting if o.samples == samples]
            if samples is None and self.differentiate:
                for step in self.steps:
                    with torch.no_grad():
                        _show(seeing, step)
                continue
            data = self.data if samples is None else self.data.resized(samples)
            with torch.inference_mode():
                self.run(source=data, observe=lambda step, seeing=seeing: _show(seeing, step))

    # ------------------------------------------------------------- gradients
    @cached_property
    def _forward(self) -> tuple[list[Step], list[list[Tensor]], list[Tensor | None]]:
        steps: list[Step] = []
        inputs: list[Tensor | None] = [None] * len(self)

        def source(program: Program, node: int) -> Tensor:
            value = self.data(program, node)
            if not value.is_floating_point() or node != program.inputs[0]:
                return value
            leaf = value.clone().requires_grad_()
            inputs[index[id(program)].pop(0)] = leaf
            return leaf

        index: dict[int, list[int]] = {}
        for a, program in enumerate(self.programs):
            index.setdefault(id(program), []).append(a)
        with torch.enable_grad():
            outputs = self.run(
                source=source,
                mode=Mode(separate=True, width=self.width),
                observe=steps.append,
            )
        return steps, outputs, inputs

    @property
    def steps(self) -> list[Step]:
        """All calls of a forward pass in training mode, each architecture with its own weights."""
        return self._forward[0]

    @property
    def outputs(self) -> list[list[Tensor]]:
        """For each architecture its results, (B, channels, *positions) each."""
        return self._forward[1]

    @cached_property
    def weighted(self) -> list[Step]:
        """The calls with weights whose result the loss depends on."""
        return [s for s in self.steps if s.weight is not None and s.raw.requires_grad]

    @cached_property
    def loss(self) -> Tensor:
        """Cross-entropy with the labels, the mean over samples, the sum over architectures."""
        return torch.stack([self._loss(found[0]) for found in self.outputs]).sum()

    def targets(self, classes: int, positions: Sequence[int]) -> Tensor:
        """(B,) labels, (B, *positions) where there are several; 0 and 1 for a single logit."""
        return self.data.labels(max(classes, 2), positions if prod(positions) > 1 else ())

    def _loss(self, logits: Tensor) -> Tensor:
        classes, positions = logits.shape[1], logits.shape[2:]
        target = self.targets(classes, positions)
        if classes == 1:
            target = target.reshape(logits.shape).to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, target)
        return F.cross_entropy(logits if prod(positions) > 1 else logits.flatten(1), target)

    @cached_property
    def gradients(self) -> list[tuple[Step, Tensor, Tensor]]:
        """Of the loss, for each weighted call: the call, by its weights, and by its channels.

        Gradients by weights have their shape (K, …). What belongs to channels is (K, B, channels):
        the sum over positions of ``raw`` times the gradient by it, which is the gradient by a
        factor on that channel of that sample.
        """
        steps = self.weighted
        if not steps:
            return []
        flows: dict[int, Tensor] = {}

        def catch(step: Step) -> Callable[[Tensor], None]:
            def flow(grad: Tensor) -> None:  # at once, so that gradients are let go of
                product = step.raw.detach() * grad.detach()
                flows[id(step)] = step.split(product.sum(tuple(range(2, product.dim()))))

            return flow

        hooks = [step.raw.register_hook(catch(step)) for step in steps]
        found = gradients_of(
            self.loss,
            [step.weight for step in steps if step.weight is not None],
            retain_graph=True,
        )
        for hook in hooks:
            hook.remove()
        none = [step.split(step.raw.detach().flatten(2)[:, :, 0] * 0) for step in steps]
        return [
            (step, grad, flows.get(id(step), zero))
            for step, grad, zero in zip(steps, found, none, strict=True)
        ]

    @cached_property
    def jacobians(self) -> list[Tensor | None]:
        """For each architecture (B, inputs) derivatives of the sum of its outputs by its input.

        Of token ids, by their embeddings. None for an architecture without either.
        """
        leaves, places = self._sources()
        if not leaves:
            return [None] * len(self)
        total = torch.stack([found[0].sum() for found in self.outputs]).sum()
        grads = gradients_of(total, leaves, retain_graph=True)
        samples = self.data.samples
        return [
            None if p is None else grads[p[0]].narrow(0, p[1] * samples, samples).flatten(1)
            for p in places
        ]

    def _sources(self) -> tuple[list[Tensor], list[tuple[int, int] | None]]:
        """What outputs are differentiated by: values; for each architecture which, which copy."""
        leaves: list[Tensor] = []
        places: list[tuple[int, int] | None] = [None] * len(self)
        for a, x in enumerate(self._forward[2]):
            if x is not None:
                places[a] = (len(leaves), 0)
                leaves.append(x)
        for step in self.steps:
            if step.instruction.op == "embedding":
                for k, ((a, node),) in enumerate(step.owners):
                    reads = self.programs[a].instructions[node].inputs
                    if places[a] is None and reads[0] == self.programs[a].inputs[0]:
                        places[a] = (len(leaves), k)
                leaves.append(step.raw)
        return leaves, places

    def total(self, parts: Iterable[tuple[Step, Tensor]]) -> Tensor:
        """(G,) sums over calls of (K,) contributions."""
        found = torch.zeros(len(self), dtype=torch.float64, device=self.data.device)
        for step, values in parts:
            for k, owners in enumerate(step.owners):
                for a, _ in owners:
                    found[a] += values[k].to(torch.float64)
        return found.cpu()

    def refuse(self, architecture: int, reason: str) -> None:
        """Say why an architecture has no score of the proxy that is being computed."""
        self.reasons[architecture] = reason


def _show(observers: Iterable[Observer], step: Step) -> None:
    for observer in observers:
        observer.see(step)


def gradients_of(
    total: Tensor,
    leaves: Sequence[Tensor],
    *,
    retain_graph: bool = False,
) -> Sequence[Tensor]:
    """Gradients of a number; zero for what it does not depend on, even if that is all."""
    if not leaves or not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return torch.autograd.grad(
        total,
        leaves,
        retain_graph=retain_graph,
        materialize_grads=True,
    )
