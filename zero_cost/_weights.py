"""Fresh weights, the same for the same seed, shape and place, whichever network asks."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, Final, Literal

from archcast.encoders.errors import InvalidSettingError
from archcast.zero_cost._program import Weight

if TYPE_CHECKING:
    import torch

Initialisation = Literal["kaiming", "pytorch", "xavier", "orthogonal", "normal", "shape"]


class Weights:
    """Weights by their keys, drawn when first asked for and kept.

    Architectures that are scored together share random numbers: the third 3x3 convolution from 16
    to 16 channels is the same in each. Differences between their scores are then differences
    between the architectures, and what they have in common is computed once.

    Args:
        seed: of the random numbers.
        init: ``kaiming`` (He et al. 2015: normal, variance 2 / inputs), ``pytorch`` (uniform
            within 1 / sqrt(inputs), what torch's layers do), ``xavier`` (Glorot & Bengio 2010),
            ``orthogonal``, ``normal`` (standard normal), or ``shape`` (fixed by the shape
            alone, for comparing two forms of one network).
        device: where they lie; they are drawn on the CPU, so that devices agree.
        dtype: of the numbers.

    Raises:
        InvalidSettingError: no such initialisation.
    """

    def __init__(
        self, seed: int, init: Initialisation, device: torch.device, dtype: torch.dtype
    ) -> None:
        check_initialisation(init)
        self.seed, self.init, self.device, self.dtype = seed, init, device, dtype
        self._kept: dict[Weight, torch.Tensor] = {}

    def __call__(self, key: Weight) -> torch.Tensor:
        """Weights of the key's shape."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self.draw(key)
        return found

    def forget(self, most: int) -> None:
        """Let go of what is kept, if that is more than some bytes."""
        if sum(numbers.nbytes for numbers in self._kept.values()) > most:
            self._kept.clear()

    def draw(self, key: Weight) -> torch.Tensor:
        """The same as calling, but not kept."""
        import torch

        from archcast.zero_cost._seeded import seeded

        place = 0 if self.init == "shape" else key.ordinal
        generator = seeded(f"{self.seed}/{key.kind}/{key.shape}/{place}")
        numbers = INITIALISATIONS[self.init](key, generator)
        numbers = numbers.to(self.device, self.dtype)
        if numbers.dim() == 4 and len(numbers) > 1:  # of one channel, torch loses the strides
            numbers = numbers.contiguous(memory_format=torch.channels_last)
        return numbers


def check_initialisation(init: str) -> None:
    """Refuse what is no initialisation; ``shape``, for tests of the library, is not offered.

    Raises:
        InvalidSettingError: no such initialisation.
    """
    if init not in INITIALISATIONS:
        known = ", ".join(name for name in INITIALISATIONS if name != "shape")
        raise InvalidSettingError(f"unknown initialisation {init!r}; there are {known}")


def _normal(key: Weight, generator: torch.Generator, std: float) -> torch.Tensor:
    import torch

    return torch.randn(key.shape, generator=generator) * std


def _uniform(key: Weight, generator: torch.Generator, bound: float) -> torch.Tensor:
    import torch

    return (torch.rand(key.shape, generator=generator) * 2 - 1) * bound


def _kaiming(key: Weight, generator: torch.Generator) -> torch.Tensor:
    if key.kind == "embedding":
        return _normal(key, generator, 1.0)
    return _normal(key, generator, sqrt(2 / key.fan_in))


def _pytorch(key: Weight, generator: torch.Generator) -> torch.Tensor:
    if key.kind == "embedding":
        return _normal(key, generator, 1.0)
    fan = key.shape[1] if key.kind == "recurrent" else key.fan_in
    return _uniform(key, generator, 1 / sqrt(fan))


def _xavier(key: Weight, generator: torch.Generator) -> torch.Tensor:
    return _normal(key, generator, sqrt(2 / (key.fan_in + key.fan_out)))


def _orthogonal(key: Weight, generator: torch.Generator) -> torch.Tensor:
    import torch

    flat = torch.randn(key.shape, generator=generator)
    # A recurrent layer's gates are one matrix.
    flat = flat.flatten(0, 1) if key.kind == "recurrent" else flat.flatten(1)
    q, r = torch.linalg.qr(flat.T if flat.shape[0] < flat.shape[1] else flat)
    q = q * torch.sign(torch.diagonal(r))
    return (q.T if flat.shape[0] < flat.shape[1] else q).reshape(key.shape)


def _standard(key: Weight, generator: torch.Generator) -> torch.Tensor:
    return _normal(key, generator, 1.0)


#: Name -> function of the weights' key and a generator.
INITIALISATIONS: Final[dict[str, Callable[[Weight, torch.Generator], torch.Tensor]]] = {
    "kaiming": _kaiming,
    "pytorch": _pytorch,
    "xavier": _xavier,
    "orthogonal": _orthogonal,
    "normal": _standard,
    "shape": _kaiming,
}
