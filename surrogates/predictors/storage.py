"""Predictors on disk: safetensors with a JSON header, no pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSettingError, ModelFormatError, StorageError
from archcast.encoders.tabular import feature_names
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._registry import GROUP, predictor_class

__all__ = ["load_predictor", "pack", "read_about", "save_predictor", "unpack"]

Arrays = dict[str, NDArray[Any]]

_FORMAT: Final = 2
_HEADER: Final = "archcast"
_NESTED: Final = "__predictor__"
#: What the protocol itself learns.
_SCALE: Final = ("centre_", "spread_", "constant_")


class _UnknownKindError(ModelFormatError):
    """A file of a kind of predictor that is not here."""


def save_predictor(predictor: Predictor, path: str | Path, **about: Any) -> None:
    """Write a fitted predictor; equal predictors give equal bytes.

    Args:
        predictor: a fitted predictor.
        path: where the file goes.
        **about: what else the header should say; must be JSON.

    Raises:
        NotFittedError: it has learned nothing yet.
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save

    predictor._check_fitted()
    packed, arrays = pack(predictor)
    header = {"format": _FORMAT, "features": feature_names(), "about": about, **packed}
    tensors = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    data = save(tensors, metadata={_HEADER: json.dumps(header, sort_keys=True)})
    write_atomically(Path(path), lambda file: file.write(data))


def load_predictor(path: str | Path) -> Predictor:
    """Read a predictor that :func:`save_predictor` wrote.

    Raises:
        StorageError: no such file, or it cannot be read.
        ModelFormatError: damaged, not a predictor, or of a version that cannot be used any more.
        MissingExtraError: what the predictor is built on is not installed.
    """
    header, arrays = _read(Path(path))
    version = header.get("format")
    while version in _MIGRATIONS:
        header, arrays = _MIGRATIONS[version](header, arrays)
        version = header.get("format")
    if version != _FORMAT:
        raise ModelFormatError(
            f"{path}: format {version} was written by another version of archcast "
            f"(this one reads up to {_FORMAT}); train it anew"
        )
    if tuple(header.get("features", ())) != feature_names():
        raise ModelFormatError(
            f"{path}: learned from other features than this version of archcast computes; "
            "train it anew, 'archcast pretrain' does so for those that ship"
        )
    try:
        return unpack(header, arrays)
    except _UnknownKindError as error:
        raise ModelFormatError(f"{path}: {error}") from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ModelFormatError(f"{path}: damaged predictor ({error})") from error


def read_about(path: str | Path) -> dict[str, Any]:
    """What :func:`save_predictor` was told about a predictor, without loading that.

    Raises:
        StorageError: no such file, or it cannot be read.
        ModelFormatError: not a predictor.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise StorageError(f"{path}: no such file")
    try:
        with safe_open(path, framework="np") as file:
            return dict(json.loads((file.metadata() or {})[_HEADER]).get("about", {}))
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ModelFormatError(f"{path}: not a predictor of archcast ({error})") from error


def pack(predictor: Predictor, prefix: str = "") -> tuple[dict[str, Any], Arrays]:
    """A predictor as plain data; predictors among its parameters are packed with it.

    Args:
        predictor: fitted, or not.
        prefix: of the arrays' names.

    Returns:
        JSON and arrays, for :func:`unpack`.
    """
    arrays: Arrays = {}
    params: dict[str, Any] = {}
    for name, value in predictor.get_params(deep=False).items():
        if isinstance(value, Predictor):
            packed, inner = pack(value, f"{prefix}{name}/")
            params[name] = {_NESTED: packed}
            arrays |= inner
        else:
            params[name] = value
    packed = {"kind": predictor.kind, "params": params}
    if hasattr(predictor, "centre_"):
        state = predictor._state()
        packed["facts"] = state.facts
        if hasattr(predictor, "n_features_in_"):
            packed["width"] = int(predictor.n_features_in_)
        arrays |= {prefix + key: value for key, value in state.arrays.items()}
        arrays |= {f"{prefix}scale.{key}": np.asarray(getattr(predictor, key)) for key in _SCALE}
    return packed, arrays


def unpack(packed: dict[str, Any], arrays: Arrays, prefix: str = "") -> Predictor:
    """The inverse of :func:`pack`.

    Raises:
        ModelFormatError: it is a predictor that this version does not have.
    """
    params = {
        name: unpack(value[_NESTED], arrays, f"{prefix}{name}/")
        if isinstance(value, dict) and _NESTED in value
        else value
        for name, value in packed["params"].items()
    }
    try:
        made = predictor_class(packed["kind"])(**params)
    except InvalidSettingError as error:
        raise _UnknownKindError(
            f"{error}. A predictor of another package is found by its entry point of the group "
            f"'{GROUP}'; in one session, register() makes it known"
        ) from error
    if "facts" in packed:
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        for key in _SCALE:
            setattr(made, key, own.pop(f"scale.{key}"))
        made._restore(State(own, packed["facts"]))
        if "width" in packed:
            made.n_features_in_ = packed["width"]
    return made


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
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


def _from_1(header: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
    """Format 1 knew tabular predictors only, and no scale of the protocol."""
    facts = {"names": header.pop("names"), "numbers": header.pop("numbers")}
    scale = {"centre_": 0.0, "spread_": 1.0, "constant_": False}
    arrays = arrays | {f"scale.{key}": np.asarray(value) for key, value in scale.items()}
    return header | {"format": 2, "kind": "tabular", "facts": facts}, arrays


#: Format -> its step to the next one.
_MIGRATIONS: Final[dict[Any, Callable[[dict[str, Any], Arrays], tuple[dict[str, Any], Arrays]]]] = {
    1: _from_1
}
