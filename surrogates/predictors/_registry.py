"""Predictors by name; each is imported when it is first asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._protocol import Predictor

#: Name -> module in this package, class.
_OWN: Final[dict[str, tuple[str, str]]] = {
    "adapted": ("_adapted", "AdaptedPredictor"),
    "conformal": ("_conformal", "ConformalPredictor"),
    "ensemble": ("bayes.ensemble", "EnsemblePredictor"),
    "aiop": ("graphs.aiop", "AiopPredictor"),
    "bananas": ("bayes.bananas", "BananasPredictor"),
    "boshnas": ("bayes.boshnas", "BoshnasPredictor"),
    "gp": ("bayes.gp", "GaussianProcessPredictor"),
    "gp-wl": ("bayes.gp_wl", "GraphKernelPredictor"),
    "hist-gradient-boosting": ("trees.histogram_predictor", "HistGradientBoostingPredictor"),
    "bayesian-linear": ("trees.linear_predictor", "BayesianLinearPredictor"),
    "extra-trees": ("trees.forest_predictor", "ExtraTreesPredictor"),
    "ngboost": ("trees.ngboost_predictor", "NGBoostPredictor"),
    "random-forest": ("trees.forest_predictor", "RandomForestPredictor"),
    "gbdt-nas": ("trees.gbdt_nas", "GBDTNASPredictor"),
    "lightgbm": ("trees.lightgbm_predictor", "LightGBMPredictor"),
    "xgboost": ("trees.xgboost_predictor", "XGBoostPredictor"),
    "device": ("device", "DevicePredictor"),
    "mlp": ("mlp", "MLPPredictor"),
    "learning-curve": ("curves", "LearningCurvePredictor"),
    "flan": ("graphs.networks", "FLAN"),
    "gennape": ("graphs.gennape", "GennapePredictor"),
    "gatv2": ("graphs.networks", "GATv2"),
    "gin": ("graphs.networks", "GIN"),
    "gps": ("graphs.networks", "GPS"),
    "nnformer": ("graphs.networks", "NNFormer"),
    "tabular": ("tabular_predictor", "TabularPredictor"),
    "universal": ("universal", "UniversalPredictor"),
    "text-embedding": ("text.embedding", "TextEmbeddingPredictor"),
    "text-finetune": ("text.finetune", "TextFinetunePredictor"),
}
#: Classes of other packages register here: ``name = "package.module:Class"``.
GROUP: Final = "archcast.predictors"


#: Classes registered in this session.
_SESSION: Final[dict[str, type[Predictor]]] = {}


def register(found: type[Predictor]) -> type[Predictor]:
    """Make a class of one's own known by its ``kind``, in this session; usable as a decorator.

    Raises:
        InvalidSettingError: the library has a predictor of that name.
    """
    if found.kind in _OWN:
        raise InvalidSettingError(f"{found.kind!r} is a predictor of the library; choose another")
    _SESSION[found.kind] = found
    return found


def list_predictors() -> list[str]:
    """The names of all predictors, those of other packages included."""
    return sorted({*_OWN, *_SESSION, *(point.name for point in entry_points(group=GROUP))})


def predictor_class(name: str) -> type[Predictor]:
    """The class of that name.

    Raises:
        InvalidSettingError: no such predictor; the message has the closest names.
        MissingExtraError: what it is built on is not installed.
    """
    if name in _OWN:
        module, attribute = _OWN[name]
        return getattr(import_module(f"archcast.predictors.{module}"), attribute)
    if name in _SESSION:
        return _SESSION[name]
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.load()
    near = difflib.get_close_matches(name, list_predictors(), n=2, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(list_predictors())}"
    )
    raise InvalidSettingError(f"unknown predictor {name!r}; {hint}")


def get_predictor(name: str, **params: Any) -> Predictor:
    """A fresh predictor of that name.

    Args:
        name: one of :func:`list_predictors`.
        **params: keywords of its constructor.

    Raises:
        InvalidSettingError: no such predictor, or it has no such keyword.
        MissingExtraError: what it is built on is not installed.
    """
    found = predictor_class(name)
    unknown = sorted(set(params) - set(found._names()))
    if unknown:
        raise InvalidSettingError(
            f"{found.__name__} has no parameter {unknown[0]!r}; it has {', '.join(found._names())}"
        )
    try:
        return found(**params)
    except TypeError as error:  # what has no default is missing
        raise InvalidSettingError(f"{name}: {error}") from error


def own_classes() -> dict[str, tuple[str, str]]:
    """Class name -> module and attribute of all of the library's predictors."""
    return {attribute: (module, attribute) for module, attribute in _OWN.values()}
