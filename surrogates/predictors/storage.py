"""Predictors on disk: safetensors with a JSON header, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._files import write_atomically
from archcast.encoders.errors import ModelFormatError, StorageError
from archcast.encoders.tabular import feature_names
from archcast.predictors._boosting import BoostedTrees
from archcast.predictors._calibration import Calibration
from archcast.predictors._cloud import Cloud
from archcast.predictors._kernel import KernelRidge, Scaler
from archcast.predictors._members import Members
from archcast.predictors._trees import Forest
from archcast.predictors.tabular_predictor import TabularPredictor

__all__ = ["load_predictor", "save_predictor"]

_FORMAT = 1
_HEADER = "archcast"


def save_predictor(predictor: TabularPredictor, path: str | Path, **about: Any) -> None:
    """Write a fitted predictor; equal predictors give equal bytes.

    Args:
        predictor: a fitted predictor.
        path: where the file goes.
        **about: what else the header should say; must be JSON.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save

    members, kernel = predictor.members_, predictor.members_.kernel
    header = {
        "format": _FORMAT,
        "params": predictor.get_params(),
        "features": feature_names(),
        "names": predictor.cloud_.names,
        "numbers": {
            "weight": predictor.weight_,
            "rate": kernel.rate,
            "noise": kernel.noise,
            "mean": kernel.mean,
            "centre": predictor.calibration_.centre,
            "told_centre": predictor.told_.centre,
        },
        "about": about,
    }
    arrays: dict[str, NDArray[Any]] = {
        "scaler.centre": members.scaler.centre,
        "scaler.scale": members.scaler.scale,
        "envelope": members.envelope,
        "support": members.support.astype(np.float16),
        "kernel.weights": kernel.weights,
        "kernel.habit": kernel.habit,
        "kernel.effect": kernel.effect,
        "kernel.usual": kernel.usual,
        "calibration.weights": predictor.calibration_.weights,
        "calibration.residuals": predictor.calibration_.residuals,
        "told.weights": predictor.told_.weights,
        "told.residuals": predictor.told_.residuals,
        "held_out": predictor.cloud_.held_out,
        "labels": predictor.labels_,
    }
    arrays |= {f"trees.{k}": v for k, v in members.trees.forest.arrays().items()}
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = save(tensors, metadata={_HEADER: json.dumps(header, sort_keys=True)})
    write_atomically(Path(path), lambda file: file.write(data))


def load_predictor(path: str | Path) -> TabularPredictor:
    """Read a predictor that :func:`save_predictor` wrote.

    Raises:
        StorageError: no such file, or it cannot be read.
        ModelFormatError: damaged, not a predictor, or of another version of archcast.
    """
    header, arrays = _read(Path(path))
    if header.get("format") != _FORMAT or tuple(header["features"]) != feature_names():
        raise ModelFormatError(
            f"{path}: made by another version of archcast; make it anew with 'archcast pretrain'"
        )
    try:
        return _rebuild(header, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise ModelFormatError(f"{path}: damaged predictor ({error})") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise StorageError(f"{path}: no such file")
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelFormatError(f"{path}: not a predictor of archcast ({error})") from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _rebuild(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> TabularPredictor:
    numbers = header["numbers"]
    predictor = TabularPredictor(**header["params"])
    predictor.weight_ = numbers["weight"]
    predictor.labels_ = arrays["labels"]
    predictor.cloud_ = Cloud(tuple(header["names"]), arrays["held_out"])
    predictor.calibration_ = Calibration(
        arrays["calibration.weights"], numbers["centre"], arrays["calibration.residuals"]
    )
    predictor.told_ = Calibration(
        arrays["told.weights"], numbers["told_centre"], arrays["told.residuals"]
    )
    kernel = KernelRidge(
        *(numbers[key] for key in ("rate", "noise", "mean")),
        *(arrays[f"kernel.{key}"] for key in ("weights", "habit", "effect", "usual")),
    )
    forest = Forest.from_arrays(
        {k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")}
    )
    scaler = Scaler(arrays["scaler.centre"], arrays["scaler.scale"])
    support = arrays["support"].astype(np.float64)
    predictor.members_ = Members(scaler, arrays["envelope"], support, kernel, BoostedTrees(forest))
    predictor.n_features_in_ = len(scaler.centre)
    return predictor
