"""Model zoos as search spaces: the image classifiers that timm and torchvision make by name.

A specification is an architecture's name, and the image size where it is not the architecture's
own: ``resnet50``, ``resnet50@160``. The name of published weights may follow the architecture's,
as in ``resnet50.a1_in1k``; only its image size is looked at.

References:
    Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models;
    "TorchVision: PyTorch's Computer Vision library", 2016, https://github.com/pytorch/vision.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from archcast.encoders._simplify import simplify
from archcast.encoders._torch import lower
from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import _zoo_models
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._zoo_recordings import recorded

if TYPE_CHECKING:
    import torch

#: Architecture and image size.
Model = tuple[str, int]
_LARGEST: Final = 4096
#: Words before a name that say whose weights or which detail, not which family.
_QUALIFIERS: Final = frozenset(
    ("bat", "dm", "eca", "ese", "gc", "lambda", "legacy", "nf", "test", "tf", "tiny", "wide")
)


def family(name: str) -> str:
    """The family an architecture's name puts it in.

    Words like ``tf_`` or ``legacy_`` in front are dropped, then the letters up to the first digit
    or underscore are taken, without the ``v`` of a version: ``tf_efficientnetv2_s`` and
    ``efficientnet_b0`` are both ``efficientnet``, ``resnetv2_50`` is ``resnet``.

    Args:
        name: a timm name, with or without tag and size.

    Returns:
        The family in lower case.
    """
    first, _, rest = name.lower().partition("_")
    if first in _QUALIFIERS and rest:
        return family(rest)
    letters = re.match(r"[a-z]+", name.lower())
    word = letters.group() if letters else name.lower()
    versioned = word.endswith("v") and name[len(word) : len(word) + 1].isdigit()
    return word[:-1] if versioned else word


def recorded_graph(library: str, cell: Model, num_classes: int | None = None) -> ComputeGraph:
    """The canonical graph of an architecture, without a name.

    Args:
        library: ``timm`` or ``torchvision``.
        cell: architecture and image size.
        num_classes: outputs; those the package gives it if None.

    Raises:
        UnreadableModelError: the module cannot be recorded.
        MissingExtraError: it must be recorded and the package is not installed.
    """
    try:
        recording = recorded(library, *cell, num_classes)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        first = str(error).partition("\n")[0]
        raise UnreadableModelError(
            f"{library}: {cell[0]}@{cell[1]} cannot be recorded; {first}"
        ) from error
    return simplify(lower.lower(recording), source=library)


class Zoo(Space[Model]):
    """What the zoos have in common; there are as many image sizes as one likes, so no size.

    Graphs are read from the package's modules: recording one takes a second or two, once for each
    version of the package; recordings are kept in the cache folder. Some architectures, foremost
    those of fixed image size asked for at another, cannot be recorded.
    """

    size = None
    num_classes = 1000
    image_size = 224

    def names(self) -> list[str]:
        """Names of all architectures, sorted.

        Raises:
            MissingExtraError: the package is not installed.
        """
        return list(self._names)

    @cached_property
    def _names(self) -> dict[str, None]:
        return dict.fromkeys(sorted(self._listed()))

    @abstractmethod
    def _listed(self) -> list[str]:
        """Names of all architectures, as the package lists them."""

    @abstractmethod
    def own_size(self, name: str, weights: str = "") -> int | None:
        """Image size of an architecture, or of some weights of it; None if it has no such weights.

        Args:
            name: one of :meth:`names`.
            weights: name of published weights; the architecture's default ones if empty.
        """

    @abstractmethod
    def make(self, name: str, size: int, num_classes: int | None) -> Any:
        """The package's module; its own number of classes if None."""

    def parse(self, spec: Any) -> Model:
        """Read ``<architecture>[.<weights>][@<image size>]``.

        Raises:
            InvalidSpecError: the package has no such architecture; the message has close matches.
            MissingExtraError: the package is not installed.
        """
        if isinstance(spec, tuple) and len(spec) == 2 and all(map(isinstance, spec, (str, int))):
            spec = f"{spec[0]}@{spec[1]}"
        if not isinstance(spec, str):
            raise InvalidSpecError(f"{self.name}: {shown(spec)} is not the name of an architecture")
        full, at, digits = spec.strip().removeprefix(f"{self.name}:").partition("@")
        name, _, weights = full.partition(".")
        if name not in self._names:
            close = get_close_matches(name, self.names(), 3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InvalidSpecError(f"{self.name} has no architecture {shown(name)}{hint}")
        size = self.own_size(name, weights)
        if size is None:
            raise InvalidSpecError(f"{self.name} has no weights {shown(weights)} of {name}")
        return name, self._read_size(digits) if at else size

    def text(self, cell: Model) -> str:
        """Write the name, and the size where it is not the architecture's own."""
        name, size = cell
        return name if size == self.own_size(name) else f"{name}@{size}"

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """Canonical graphs of the package's modules.

        Args:
            specs: specifications.
            num_classes: outputs; if None those the package gives the architecture, usually the
                1,000 classes of ImageNet, or none at all but features.
            image_size: height and width of the images; those of each specification if None.

        Raises:
            InvalidSpecError: a specification is not well formed.
            UnreadableModelError: a module cannot be recorded.
            MissingExtraError: the package is not installed.
        """
        cells = [self.parse(spec) for spec in specs]
        sized = [(name, image_size or size) for name, size in cells]
        built = {
            cell: recorded_graph(self.name, cell, num_classes) for cell in dict.fromkeys(sized)
        }
        return [
            replace(built[key], name=self.text(cell))
            for key, cell in zip(sized, cells, strict=True)
        ]

    def module(
        self, spec: Any, num_classes: int | None = None, image_size: int | None = None
    ) -> torch.nn.Module:
        """The package's own module, with random weights; see :meth:`graphs` for the arguments.

        Raises:
            InvalidSpecError: the specification is not well formed.
            MissingExtraError: the package is not installed.
        """
        name, size = self.parse(spec)
        return self.make(name, image_size or size, num_classes)

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different architectures at their own image sizes, all equally likely."""
        names = self.names()
        picked = np.random.default_rng(seed).choice(len(names), n, replace=False)
        return [names[at] for at in picked.tolist()]

    def enumerate(self) -> Iterator[str]:
        """All architectures at their own image sizes, by name."""
        yield from self.names()

    def neighbours(self, spec: Any) -> list[str]:
        """The other architectures of its :func:`family`, at their own image sizes.

        Raises:
            InvalidSpecError: the specification is not well formed.
            MissingExtraError: the package is not installed.
        """
        own, _ = self.parse(spec)
        return [name for name in self.names() if family(name) == family(own) and name != own]

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """One of the two, at random: names cannot be mixed.

        Raises:
            InvalidSpecError: a specification is not well formed.
            MissingExtraError: the package is not installed.
        """
        return self.text(self.parse((first, second)[np.random.default_rng(seed).integers(2)]))

    def _read_size(self, digits: str) -> int:
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:9]) <= _LARGEST):
            raise InvalidSpecError(
                f"{self.name}: {shown(digits)} is no image size; write a number up to {_LARGEST}"
            )
        return int(digits)


class Timm(Zoo):
    """The architectures of timm."""

    name = "timm"

    def _listed(self) -> list[str]:
        return _zoo_models.import_timm().list_models()

    def own_size(self, name: str, weights: str = "") -> int | None:
        """The height timm gives the images of an architecture; see :meth:`Zoo.own_size`."""
        models = _zoo_models.import_timm().models
        full = f"{name}.{weights}" if weights else name
        if weights and full not in models.get_arch_pretrained_cfgs(name):
            return None
        return int(models.get_pretrained_cfg(full).input_size[1])

    def make(self, name: str, size: int, num_classes: int | None) -> Any:
        """The module of timm."""
        return _zoo_models.timm_model(name, size, num_classes)


class Torchvision(Zoo):
    """The image classifiers of torchvision."""

    name = "torchvision"

    def _listed(self) -> list[str]:
        models = _zoo_models.import_torchvision().models
        # Without the module it would list detectors and networks for video, too.
        return models.list_models(module=models)

    def own_size(self, name: str, weights: str = "") -> int | None:
        """The image size of an architecture's weights; see :meth:`Zoo.own_size`."""
        known = _zoo_models.import_torchvision().models.get_model_weights(name)
        if weights and weights not in known.__members__:
            return None
        chosen = known[weights] if weights else known.DEFAULT
        return int(np.max(chosen.transforms.keywords["crop_size"]))

    def make(self, name: str, size: int, num_classes: int | None) -> Any:
        """The module of torchvision."""
        return _zoo_models.torchvision_model(name, size, num_classes)
