"""``Space``: what a search space of architectures offers, and how to add one's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from archcast.encoders._words import cut
from archcast.encoders.errors import (
    ArchcastError,
    EvaluationError,
    InvalidSpecError,
    MissingExtraError,
    NotANetworkError,
)
from archcast.encoders.spaces._net import Net
from archcast.encoders.spaces._net_graph import GraphNet

if TYPE_CHECKING:
    import torch

    from archcast.encoders.graph import ComputeGraph

#: A parsed specification: hashable, equal for equal texts.
Cell = TypeVar("Cell", bound=Hashable)


class Space(ABC, Generic[Cell]):
    """A search space: texts that name architectures, and the networks they stand for.

    A subclass says how a text is parsed and written (:meth:`parse`, :meth:`text`), draws and
    varies texts, and writes the network down once, in :meth:`build`; graphs and trainable modules
    follow. A space whose architectures are lists of choices is shorter still:
    :class:`~archcast.encoders.spaces.FieldSpace`.
    :func:`archcast.encoders.spaces.register` makes it known by name.
    """

    #: Name of the space, also the prefix that makes any of its texts self-identifying.
    name: ClassVar[str]
    #: Number of specifications; None if there is no end to them.
    size: ClassVar[int | None]
    #: Outputs of the network on the task the benchmark is best known for: classes, or words.
    num_classes: int = 10
    #: Height and width of that task's images, or the length of its sequences.
    image_size: int = 32

    @abstractmethod
    def parse(self, spec: Any) -> Cell:
        """Read a specification.

        Args:
            spec: the space's own text, the same behind ``<name>:``, or what this method returns.

        Returns:
            The specification as a hashable value.

        Raises:
            InvalidSpecError: it is not well formed; the message names the faulty part.
        """

    @abstractmethod
    def text(self, cell: Cell) -> str:
        """Write a parsed specification as the space's own text."""

    @abstractmethod
    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw ``n`` different specifications at random; the same for the same seed.

        Raises:
            ValueError: the space has fewer.
        """

    @abstractmethod
    def neighbours(self, spec: Any) -> list[str]:
        """The specifications one change away: the mutations of evolutionary search.

        Raises:
            InvalidSpecError: the specification is not well formed.
        """

    @abstractmethod
    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """A child of two specifications, each part taken from one of them at random.

        Raises:
            InvalidSpecError: a specification is not well formed.
        """

    def enumerate(self) -> Iterator[str]:
        """All specifications, in a fixed order.

        Raises:
            InvalidSpecError: the space has no end.
        """
        raise InvalidSpecError(f"{self.name} cannot be enumerated; draw from it with sample()")

    def build(self, net: Net, cell: Cell, num_classes: int, image_size: int) -> None:
        """Write the full network down, as the benchmark trains it.

        Args:
            net: takes the operators, from ``net.input(...)`` to ``net.output(...)``.
            cell: a parsed specification.
            num_classes: outputs of the network.
            image_size: height and width of the input, or its length.

        Raises:
            NotANetworkError: the space reads its networks from elsewhere.
        """
        raise NotANetworkError("the space does not say how its networks are built")

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as the benchmark trains them, as canonical graphs.

        Args:
            specs: specifications, anything :meth:`parse` reads.
            num_classes: outputs of the network; the benchmark's own if None.
            image_size: height and width of the input, or its length; the benchmark's own if None.

        Returns:
            One graph for each specification. ``params`` counts the operators that are left, so
            not those on no path from input to output, which some benchmarks do count.

        Raises:
            InvalidSpecError: a specification is not well formed.
            EvaluationError: :meth:`build` of a space of one's own raised something else.
        """
        classes, size = num_classes or self.num_classes, image_size or self.image_size
        found: dict[Cell, ComputeGraph] = {}
        cells = [self.parse(spec) for spec in specs]
        for cell in dict.fromkeys(cells):
            net, text = GraphNet(), self.text(cell)
            with building(self.name, text):
                self.build(net, cell, classes, size)
                found[cell] = net.graph(self.name, text)
        return [found[cell] for cell in cells]

    def graph(
        self, spec: Any, num_classes: int | None = None, image_size: int | None = None
    ) -> ComputeGraph:
        """The graph of one specification; see :meth:`graphs`, which is far faster for many."""
        return self.graphs([spec], num_classes, image_size)[0]

    def module(
        self, spec: Any, num_classes: int | None = None, image_size: int | None = None
    ) -> torch.nn.Module:
        """The full network, ready to be trained.

        Args:
            spec: anything :meth:`parse` reads.
            num_classes: outputs of the network; the benchmark's own if None.
            image_size: height and width of the input, or its length; the benchmark's own if None.

        Raises:
            InvalidSpecError: the specification is not well formed.
            MissingExtraError: torch is not installed.
            EvaluationError: :meth:`build` of a space of one's own raised something else.
        """
        cell = self.parse(spec)
        need_torch()
        from archcast.encoders.spaces._net_torch import TorchNet

        net = TorchNet()
        with building(self.name, self.text(cell)):
            self.build(net, cell, num_classes or self.num_classes, image_size or self.image_size)
            return net.module()

    def owns(self, text: str) -> bool:
        """Whether a text without the prefix can only be meant for this space."""
        del text
        return False


@contextmanager
def building(space: str, text: str, what: str = "build()") -> Iterator[None]:
    """Where a network is built: whatever goes wrong names the space and the specification.

    Args:
        space: its name.
        text: the specification.
        what: the function that builds.

    Raises:
        ArchcastError: of the kind that was raised inside.
        EvaluationError: something else was raised, as a person's own code may.
    """
    try:
        yield
    except ArchcastError as error:
        raise type(error)(f"{space}: {text}: {str(error).removeprefix(f'{space}: ')}") from error
    except MemoryError:  # of the machine, not of the function
        raise
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise EvaluationError(f"{space}: {what} failed for {text}: {cut(told, 300)}") from error


def need_torch() -> None:
    """Check that torch can be imported.

    Raises:
        MissingExtraError: it cannot.
    """
    try:
        import torch  # noqa: F401  (torch is an extra; importing it takes a second)
    except ImportError as error:
        raise MissingExtraError(
            "a trainable module needs torch: pip install 'archcast[torch]'"
        ) from error
