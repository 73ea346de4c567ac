"""What networks are fed with: a person's own mini-batch, or numbers drawn by seed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.encoders.errors import InvalidSettingError, ShapeError
from archcast.zero_cost._operators import fit
from archcast.zero_cost._program import Program
from archcast.zero_cost._seeded import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: How amplitudes fall with the frequency, and the share of variance that channels have together.
_SLOPE: Final = 1.2
_ALIKE: Final = 0.9


class Data:
    """Inputs and labels for any program, with one number of samples.

    Inputs of one shape are the same for all programs. A person's images are resized to what a
    program takes; token ids, and inputs beside the first, are always drawn.

    Args:
        samples: B, samples in a mini-batch.
        seed: of what is drawn: random pictures (:func:`like_photographs`), standard normal
            numbers where there is no picture, uniform token ids and labels.
        images: (N, C, H, W) inputs to take instead, N >= B; the first B are used.
        labels: (N,) whole numbers for them, or more than N; drawn if None.
        device: where tensors lie.
        dtype: of inputs that are no token ids.

    Raises:
        InvalidSettingError: fewer images or labels than samples, or less than one sample; numbers
            that are not finite, labels that are no classes.
        ShapeError: images or labels of another shape.
    """

    def __init__(
        self,
        samples: int,
        seed: int,
        images: Any = None,
        labels: Any = None,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if samples < 1:
            raise InvalidSettingError(f"{samples} samples; give at least 1")
        self.samples, self.seed, self.device, self.dtype = samples, seed, device, dtype
        self._images = None if images is None else _checked_images(images)
        self._labels = None if labels is None else _checked_labels(labels, self._images)
        self._check_enough()
        self._kept: dict[object, Tensor] = {}

    def resized(self, samples: int) -> Data:
        """The same data with another number of samples."""
        found = Data(samples, self.seed, device=self.device, dtype=self.dtype)
        found._images, found._labels = self._images, self._labels  # which were checked before
        found._check_enough()
        return found

    def split(self, parts: int) -> list[Data]:
        """The mini-batch in parts of (nearly) equal size, in order.

        Raises:
            InvalidSettingError: there are fewer samples than parts.
        """
        if not 1 <= parts <= self.samples:
            raise InvalidSettingError(f"{self.samples} samples do not split into {parts} parts")
        ends = [self.samples * part // parts for part in range(parts + 1)]
        return [_Part(self, start, end) for start, end in pairwise(ends)]

    def forget(self, most: int) -> None:
        """Let go of what is kept, if that is more than some bytes."""
        if sum(numbers.nbytes for numbers in self._kept.values()) > most:
            self._kept.clear()

    def __call__(self, program: Program, node: int) -> Tensor:
        """(B, channels, *positions) input of a program; the source of an execution."""
        step = program.instructions[node]
        place = program.inputs.index(node)
        words = program.token_inputs.get(node, 0)
        channels, *extent = step.shape
        key = (place, words, step.shape)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._drawn(place, words, channels, tuple(extent))
        return found

    def labels(self, classes: int, positions: Sequence[int] = ()) -> Tensor:
        """(B, *positions) labels below the number of classes.

        Raises:
            InvalidSettingError: one that was given is not.
        """
        if self._labels is not None and not positions:
            found = self._labels[: self.samples]
            if int(found.max()) >= classes:
                raise InvalidSettingError(
                    f"label {int(found.max())} of {classes} classes: labels count from 0"
                )
            return found.to(self.device)
        shape = (self.samples, *positions)
        generator = self._generator("labels", classes, shape)
        return torch.randint(classes, shape, generator=generator).to(self.device)

    def _drawn(self, place: int, words: int, channels: int, extent: tuple[int, ...]) -> Tensor:
        shape = (self.samples, channels, *extent)
        generator = self._generator(place, words, shape[1:])
        if words:
            return torch.randint(words, shape, generator=generator).to(self.device)
        pictures = len(extent) == 2 and min(extent) > 1
        if self._images is not None and place == 0 and pictures:
            found = self._photographed(channels, extent)
        else:
            found = torch.randn(shape, generator=generator)
            found = like_photographs(found) if pictures else found
        found = found.to(self.device, self.dtype)
        return found.contiguous(memory_format=torch.channels_last) if found.dim() == 4 else found

    def _photographed(self, channels: int, extent: tuple[int, ...]) -> Tensor:
        assert self._images is not None
        images = self._images[: self.samples]
        if tuple(images.shape[2:]) != extent:
            images = F.interpolate(
                images, extent, mode="bilinear", antialias=True, align_corners=False
            )
        return fit(images, channels, (1, *extent))  # type: ignore[arg-type]

    def _check_enough(self) -> None:
        for what, given in (("images", self._images), ("labels", self._labels)):
            if given is not None and len(given) < self.samples:
                raise InvalidSettingError(
                    f"{len(given)} {what} are fewer than samples={self.samples}"
                )

    def _generator(self, *what: object) -> torch.Generator:
        return seeded(f"{self.seed}/{what}")


class _Part(Data):
    """Some of the samples of other data.

    Args:
        whole: the other data.
        start: its first sample that counts.
        end: its first sample after that that does not.
    """

    def __init__(self, whole: Data, start: int, end: int) -> None:
        super().__init__(end - start, whole.seed, device=whole.device, dtype=whole.dtype)
        self._whole, self._start, self._end = whole, start, end

    def resized(self, samples: int) -> Data:
        return self._whole.resized(samples)

    def __call__(self, program: Program, node: int) -> Tensor:
        return self._whole(program, node)[self._start : self._end]

    def labels(self, classes: int, positions: Sequence[int] = ()) -> Tensor:
        return self._whole.labels(classes, positions)[self._start : self._end]


def ones(data: Data) -> Callable[[Program, int], Tensor]:
    """A source of one sample of ones, in float64; token ids are those of the data."""
    one = data.resized(1)

    def source(program: Program, node: int) -> Tensor:
        value = one(program, node)
        return torch.ones_like(value, dtype=torch.float64) if value.is_floating_point() else value

    return source


def like_photographs(noise: Tensor) -> Tensor:
    """Give noise the spectrum of photographs, and channels that resemble one another.

    Amplitudes of natural images fall with about the 1.2th power of the spatial frequency (Field
    1987 and others after him: 1 to 1.3). Under such inputs scores of images come out nearly as
    under real ones, and under white noise they do not (benchmarks/zero_cost_inputs.py).

    Args:
        noise: (B, C, H, W) standard normal numbers.

    Returns:
        (B, C, H, W), each channel standardised over all samples and positions.
    """
    height, width = noise.shape[2:]
    down = torch.fft.fftfreq(height).square()[:, None]
    across = torch.fft.rfftfreq(width).square()[None]
    frequency = (down + across).sqrt()
    frequency[0, 0] = 1 / max(height, width)
    shaped = torch.fft.irfft2(torch.fft.rfft2(noise) * frequency**-_SLOPE, s=(height, width))
    shared = shaped[:, :1]
    mixed = _ALIKE**0.5 * shared + (1 - _ALIKE) ** 0.5 * shaped if shaped.shape[1] > 1 else shaped
    variance, mean = torch.var_mean(mixed, (0, 2, 3), correction=0, keepdim=True)
    return (mixed - mean) * torch.rsqrt(variance + 1e-12)


def _checked_images(images: Any) -> Tensor:
    found = torch.as_tensor(images)
    if found.dim() != 4 or not found.is_floating_point():
        raise ShapeError(
            f"images are standardised floating-point numbers of shape (N, C, H, W), not "
            f"{found.dtype} of shape {tuple(found.shape)}"
        )
    if found.shape[1] > 4 and found.shape[3] in (1, 3):
        raise ShapeError(
            f"images are (N, C, H, W), and {tuple(found.shape)} looks like (N, H, W, C): give "
            f"images.transpose(0, 3, 1, 2)"
        )
    if not found.isfinite().all():
        raise InvalidSettingError("images hold numbers that are not finite: NaN, or infinity")
    return found.float()


def _checked_labels(labels: Any, images: Tensor | None) -> Tensor:
    found = torch.as_tensor(labels)
    if found.dim() != 1:
        raise ShapeError(f"labels are (N,) whole numbers, not of shape {tuple(found.shape)}")
    if images is not None and len(found) < len(images):
        raise ShapeError(f"{len(found)} labels for {len(images)} images")
    if found.is_floating_point() and not torch.equal(found, found.round()):  # or a NaN
        raise InvalidSettingError("labels are whole numbers, the classes; these have fractions")
    found = found.long()
    if len(found) and int(found.min()) < 0:
        raise InvalidSettingError(f"label {int(found.min())} is no class: labels count from 0")
    return found
