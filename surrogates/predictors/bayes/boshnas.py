"""BOSHNAS: a forecast with the labels' noise and the model's ignorance told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError, MissingExtraError
from archcast.predictors._encoding import encode
from archcast.predictors._kernel import Scaler
from archcast.predictors._protocol import State
from archcast.predictors.bayes._sampling import IndependentSampling

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64]

_CLIP = 5.0


class BoshnasPredictor(IndependentSampling):
    """``UCB = mean(x) + k1 * noise(x) + k2 * ignorance(x)``, ``std² = noise² + ignorance²``.

    Mean and noise are the moments of a Gaussian natural-parameter net, trained by likelihood. A
    teacher with dropout is trained by squared error; the std of its passes is what the model does
    not know. A student learns that std, so that it has one value and a gradient
    (:meth:`ucb_gradient`), which a search climbs through frozen nets.

    The paper climbs with respect to an embedding of the architecture; here the inputs are the
    columns of :func:`archcast.encoders.tabular.tabular`, and what is climbed to has to be matched
    with an architecture that has nearly those columns.

    Args:
        width: of both hidden layers of each net.
        dropout: share of the teacher's hidden states that are dropped.
        passes: of the teacher, for each row that the student learns from.
        epochs: most passes over the labels.
        patience: epochs without a better validation loss after which a net is done.
        rate: Adam's step size.
        decay: weight decay.
        device: ``auto``, ``cpu`` or ``cuda``.
        transform: scale of the targets.
        seed: of the nets, of dropout and of the order of rows.
        progress: whether progress bars are shown.

    Reference:
        Tuli et al., "FlexiBERT: Are Current Transformer Architectures too Homogeneous and Rigid?",
        JAIR 2023 (BOSHNAS, section 3.3).
    """

    kind = "boshnas"

    def __init__(
        self,
        width: int = 64,
        dropout: float = 0.1,
        passes: int = 10,
        epochs: int = 300,
        patience: int = 40,
        rate: float = 2e-3,
        decay: float = 1.0,
        device: str = "auto",
        transform: Transform = "identity",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.width = width
        self.dropout = dropout
        self.passes = passes
        self.epochs = epochs
        self.patience = patience
        self.rate = rate
        self.decay = decay
        self.device = device
        self.transform: Transform = transform
        self.seed = seed
        self.progress = progress

    # ------------------------------------------------------------------ public
    def components(self, X: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean, noise and ignorance of n architectures, each (n,), on the transformed scale.

        Raises:
            NotFittedError: ``fit`` was not called.
        """
        self._check_fitted()
        parts = self._parts(encode(X, self.encoding))
        spread = np.where(self.constant_, 0.0, self.spread_)
        return parts[0] * spread + self.centre_, parts[1] * spread, parts[2] * spread

    def ucb_gradient(
        self, X: ArrayLike, k1: float = 0.5, k2: float = 0.5
    ) -> tuple[FloatArray, FloatArray]:
        """The upper confidence bound, and where in feature space it grows.

        Args:
            X: n architectures, or their (n, F) features.
            k1: weight of the noise.
            k2: weight of the ignorance; negative weights give a lower bound.

        Returns:
            (n,) bounds on the transformed scale, and (n, F) derivatives by each feature in its own
            unit; zero where a feature lies 5 standard deviations outside of what was learned from.

        Raises:
            NotFittedError: ``fit`` was not called.
        """
        import torch

        self._check_fitted()
        x = encode(X, self.encoding)
        z = torch.tensor(self.scaler_.apply(x), dtype=torch.float32, requires_grad=True)
        mean, noise, ignorance = self._forward(z)
        bound = mean + k1 * noise + k2 * ignorance
        (slope,) = torch.autograd.grad(bound.sum(), z)
        spread = np.where(self.constant_, 0.0, self.spread_)
        inside = np.abs((x - self.scaler_.centre) / self.scaler_.scale) < _CLIP
        by_feature = slope.numpy() * inside / self.scaler_.scale * spread
        return bound.detach().numpy().astype(float) * spread + self.centre_, by_feature

    # ----------------------------------------------------------------- private
    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        torch = _torch()
        from archcast.predictors.bayes import _npn
        from archcast.predictors.graphs._device import torch_device

        if not 0 <= self.dropout < 1 or self.passes < 2:
            raise InvalidSettingError("dropout lies in [0, 1), and two passes are the fewest")
        device = torch_device(self.device)
        self.scaler_ = Scaler.fit(X)
        x = torch.tensor(self.scaler_.apply(X), dtype=torch.float32, device=device)
        target = torch.tensor(y, dtype=torch.float32, device=device)
        self._build(X.shape[1], device)
        how = _npn.Training(
            self.epochs, self.rate, self.decay, self.patience, self.seed, self.progress
        )

        def likelihood(rows: torch.Tensor) -> torch.Tensor:
            mean, variance = self._npn(x[rows])
            return 0.5 * (torch.log(variance) + (target[rows] - mean) ** 2 / variance).mean()

        _npn.train(self._npn, len(y), likelihood, how)
        teacher = _npn.DropoutNet(X.shape[1], self.width, self.dropout, self._generator())
        teacher = teacher.to(device)
        _npn.train(
            teacher, len(y), lambda rows: ((teacher(x[rows]) - target[rows]) ** 2).mean(), how
        )
        with torch.no_grad():
            ignorance = torch.stack([teacher(x) for _ in range(self.passes)]).std(0)

        def student(rows: torch.Tensor) -> torch.Tensor:
            return ((self._ignorance(x[rows]) - ignorance[rows]) ** 2).mean()

        _npn.train(self._student, len(y), student, how)
        self._freeze()

    def _generator(self) -> torch.Generator:
        import torch

        return torch.Generator().manual_seed(self.seed)

    def _build(self, columns: int, device: torch.device) -> None:
        from archcast.predictors.bayes import _npn

        self._npn = _npn.NaturalParameterNet(columns, self.width, self._generator()).to(device)
        self._student = _npn.DropoutNet(columns, self.width, 0.0, self._generator()).to(device)

    def _freeze(self) -> None:
        """Nets to the CPU, their weights constants; generators cannot be copied, and go."""
        for net in (self._npn, self._student):
            net.to("cpu").requires_grad_(False)
        del self._student.generator

    def _ignorance(self, z: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import softplus

        return softplus(self._student(z, drop=False) - 2)

    def _forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, variance = self._npn(z)
        return mean, variance.sqrt(), self._ignorance(z)

    def _parts(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray, FloatArray]:
        torch = _torch()
        with torch.no_grad():
            z = torch.tensor(self.scaler_.apply(x), dtype=torch.float32)
            mean, noise, ignorance = (part.numpy().astype(float) for part in self._forward(z))
        return mean, noise, ignorance

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        mean, noise, ignorance = self._parts(X)
        return mean, np.sqrt(noise**2 + ignorance**2)

    def _state(self) -> State:
        arrays: dict[str, NDArray[Any]] = {
            "scaler.centre": self.scaler_.centre,
            "scaler.scale": self.scaler_.scale,
        }
        for name, net in (("npn", self._npn), ("student", self._student)):
            arrays |= {f"{name}/{key}": value.numpy() for key, value in net.state_dict().items()}
        return State(arrays)

    def _restore(self, state: State) -> None:
        torch = _torch()
        arrays = state.arrays
        self.scaler_ = Scaler(arrays["scaler.centre"], arrays["scaler.scale"])
        self._build(len(self.scaler_.centre), torch.device("cpu"))
        for name, net in (("npn", self._npn), ("student", self._student)):
            own = {
                k.removeprefix(f"{name}/"): v for k, v in arrays.items() if k.startswith(f"{name}/")
            }
            net.load_state_dict({k: torch.tensor(v) for k, v in own.items()})
        self._freeze()


def _torch() -> Any:
    """The module torch.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("BOSHNAS needs torch: pip install 'archcast[torch]'") from error
    return torch
