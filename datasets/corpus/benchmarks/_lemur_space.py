"""Free code as a search space: names of LEMUR's networks, their graphs, and no way to run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from archcast.datasets.benchmarks import _lemur_trials
from archcast.datasets.benchmarks._lemur_graphs import LemurGraphs
from archcast.datasets.benchmarks._lemur_settings import Setting, parsed
from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError, SandboxError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import Space

#: Name, and the setting where it is told.
Cell = tuple[str, Setting | None]


class LemurSpace(Space[Cell]):
    """Networks written as free PyTorch code; LEMUR's neural network dataset.

    A specification is ``<name>`` or ``<name>@<input>-<outputs>``, ``ResNet@3x64x64-10`` say; what
    follows a ``#`` names a training run and does not matter here. Mutation and crossover of code
    are undefined: neighbours are networks of the same generator and template, a child is one of
    its parents.

    Reference: A. T. Goodarzi et al., LEMUR Neural Network Dataset: Towards Seamless AutoML, 2025.
    """

    name = "lemur"
    size = 10482

    def parse(self, spec: Any) -> Cell:
        """Read a name; see :meth:`archcast.encoders.spaces.Space.parse`."""
        if isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[0], str):
            name, kind = spec
            if kind is not None and not isinstance(kind, Setting):
                raise InvalidSpecError(f"lemur: {shown(kind)} is no setting")
        elif isinstance(spec, str):
            text = spec.strip().removeprefix("lemur:").partition("#")[0]
            name, at, rest = text.partition("@")
            kind = parsed(rest) if at else None
        else:
            raise InvalidSpecError(f"lemur: a specification is a text, not {shown(spec)}")
        if name not in self._names:
            close = get_close_matches(name, self._names, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidSpecError(f"lemur has no network {shown(name)}{hint}")
        return name, kind

    def text(self, cell: Cell) -> str:
        """Write a name."""
        name, kind = cell
        return name if kind is None else f"{name}@{kind}"

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different names; some are of code that gives no network.

        Args:
            n: how many.
            seed: of the draw.

        Raises:
            ValueError: there are not that many.
            DownloadError: the data is not here and cannot be fetched.
        """
        names = list(self._names)
        if n > len(names):
            raise ValueError(f"lemur has {len(names)} networks, not {n}")
        chosen = np.random.default_rng(seed).choice(len(names), n, replace=False)
        return [names[i] for i in chosen]

    def neighbours(self, spec: Any) -> list[str]:
        """Networks of the same generator and template.

        Raises:
            InvalidSpecError: no such network.
            DownloadError: the data is not here and cannot be fetched.
        """
        name, _ = self.parse(spec)
        return [other for other in self._templates[_template(name)] if other != name]

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """One of the two parents.

        Raises:
            InvalidSpecError: no such network.
            DownloadError: the data is not here and cannot be fetched.
        """
        parents = self.text(self.parse(first)), self.text(self.parse(second))
        return parents[int(np.random.default_rng(seed).integers(2))]

    def enumerate(self) -> Iterator[str]:
        """All names."""
        return iter(self._names)

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """Graphs of the networks; what was never recorded is run, confined.

        Args:
            specs: specifications.
            num_classes: outputs; those of the specification, or of most training runs, if None.
            image_size: height and width, likewise.

        Raises:
            InvalidSpecError: no such network.
            UnreadableModelError: the code gives no network; the message has the reason.
            SandboxError: code must be run and this machine cannot confine it.
            MissingExtraError: code must be run and torch or torchvision is not installed.
            DownloadError: the data is not here and cannot be fetched.
        """
        keys = []
        for spec in specs:
            name, kind = self.parse(spec)
            kind = kind or self._builder.usual(name)
            shape = kind.input if image_size is None else (kind.input[0], image_size, image_size)
            outputs = kind.outputs if num_classes is None else (num_classes,)
            keys.append((name, Setting(shape, outputs, kind.dtype)))
        return self._builder.graphs(keys)

    def source(self, spec: Any) -> str:
        """The code of a network, which nobody has checked.

        Raises:
            InvalidSpecError: no such network.
        """
        return _lemur_trials.sources()[self.parse(spec)[0]]

    def module(
        self, spec: Any, num_classes: int | None = None, image_size: int | None = None
    ) -> NoReturn:
        """Foreign code is never run in the caller's process.

        Raises:
            SandboxError: always.
        """
        raise SandboxError(
            f"lemur:{self.text(self.parse(spec))} is foreign code, which archcast runs only in "
            "confined processes; source() has its text"
        )

    @cached_property
    def _names(self) -> dict[str, None]:
        return {name: None for name in sorted(_lemur_trials.sources()) if name != "__init__"}

    @cached_property
    def _builder(self) -> LemurGraphs:
        return LemurGraphs()

    @cached_property
    def _templates(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._names:
            found.setdefault(_template(name), []).append(name)
        return found


def _template(name: str) -> str:
    return name.rpartition("-")[0] or name
