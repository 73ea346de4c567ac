"""``Space``: what a search space of architectures offers, and how to add one's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from archcast.encoders.errors import MissingExtraError

if TYPE_CHECKING:
    import torch

    from archcast.encoders.graph import ComputeGraph

#: A parsed specification: hashable, equal for equal texts.
Cell = TypeVar("Cell")


class Space(ABC, Generic[Cell]):
    """A search space: texts that name architectures, and the networks they stand for.

    A subclass says how a text is parsed and written, and how the networks of many texts become
    graphs; the rest follows. :func:`archcast.encoders.spaces.register` makes it known by name.
    """

    #: Name of the space, also the prefix that makes any of its texts self-identifying.
    name: ClassVar[str]
    #: Number of specifications.
    size: ClassVar[int]
    #: Classes of the task the benchmark is best known for.
    num_classes: ClassVar[int] = 10
    #: Height and width of that task's images.
    image_size: ClassVar[int] = 32

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
    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as the benchmark trains them, as canonical graphs.

        Args:
            specs: specifications, anything :meth:`parse` reads.
            num_classes: outputs of the classifier; the benchmark's own if None.
            image_size: height and width of the input; the benchmark's own if None.

        Returns:
            One graph for each specification. ``params`` counts the operators that are left, so
            not those on no path from input to output, which some benchmarks do count.

        Raises:
            InvalidSpecError: a specification is not well formed.
        """

    @abstractmethod
    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw ``n`` different specifications at random; the same for the same seed."""

    @abstractmethod
    def enumerate(self) -> Iterator[str]:
        """All specifications, in a fixed order."""

    @abstractmethod
    def neighbours(self, spec: Any) -> list[str]:
        """The specifications one change away."""

    @abstractmethod
    def module(self, spec: Any, num_classes: int | None = None) -> torch.nn.Module:
        """The full network, ready to be trained.

        Raises:
            InvalidSpecError: the specification is not well formed.
            MissingExtraError: torch is not installed.
        """

    def graph(
        self, spec: Any, num_classes: int | None = None, image_size: int | None = None
    ) -> ComputeGraph:
        """The graph of one specification; see :meth:`graphs`, which is far faster for many."""
        return self.graphs([spec], num_classes, image_size)[0]

    def owns(self, text: str) -> bool:
        """Whether a text without the prefix can only be meant for this space."""
        del text
        return False


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
