"""Predictors made of predictors: fresh copies of the base, each with a seed of its own."""

from __future__ import annotations

from typing import Any

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._protocol import Predictor
from archcast.predictors._registry import get_predictor


def template(
    base: Predictor | str, options: dict[str, Any] | None, transform: Transform
) -> Predictor:
    """An unfitted copy of the base that takes targets as they are.

    The outer predictor transforms the labels, once for all of its members.

    Args:
        base: a predictor, or the name of one.
        options: keywords of its constructor.
        transform: the outer predictor's scale of the targets.

    Raises:
        InvalidSettingError: no such predictor, or it has a scale other than the outer one's.
    """
    if not isinstance(base, str | Predictor):
        raise InvalidSettingError(f"the base is a predictor or its name, not {base!r}")
    fresh = get_predictor(base) if isinstance(base, str) else unfitted(base)
    fresh.set_params(**(options or {}))
    own = fresh.get_params().get("transform", "identity")
    if own not in ("identity", transform):
        raise InvalidSettingError(
            f"the base has transform={own!r}, the predictor around it {transform!r}; "
            "set it on the outer one only"
        )
    return fresh.set_params(transform="identity") if own != "identity" else fresh


def unfitted(predictor: Predictor) -> Predictor:
    """A copy with the same parameters, and nothing learned."""
    params = predictor.get_params(deep=False)
    return type(predictor)(**{k: _copied(v) for k, v in params.items()})


def _copied(value: Any) -> Any:
    return unfitted(value) if isinstance(value, Predictor) else value


def reseed(predictor: Predictor, seed: int) -> Predictor:
    """Set the seed of a predictor, and of those among its parameters; returns it."""
    for name, value in predictor.get_params(deep=False).items():
        if name == "seed":
            predictor.set_params(seed=seed)
        elif isinstance(value, Predictor):
            reseed(value, seed)
    return predictor
