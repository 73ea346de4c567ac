"""Settings in the types that predictors expect."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.evaluation._settings import fitting, keywords
from archcast.predictors import get_predictor

pytest.importorskip("lightgbm")


def test_values_become_what_the_constructor_takes():
    given = {"rounds": "7", "leaves": 8.0, "folds": np.int64(3), "learning_rate": 1}
    assert fitting("tabular", given) == {
        "rounds": 7, "leaves": 8, "folds": 3, "learning_rate": 1.0,
    }  # fmt: skip
    base = get_predictor("tabular")
    given = {"base": base, "options": {"support": 5}, "progress": "false", "none": 1}
    assert fitting("conformal", given) == given | {"progress": False}
    assert "rounds" in keywords("tabular")


@pytest.mark.parametrize(
    ("predictor", "key", "value", "words"),
    [
        ("tabular", "rounds", "a", "tabular: rounds is a whole number, not 'a'"),
        ("tabular", "rounds", True, "whole number"),
        ("tabular", "rounds", 1.5, "whole number"),
        ("tabular", "learning_rate", [1], "a number"),
        ("conformal", "progress", 1, "true or false"),
        ("conformal", "options", 3, "a table"),
        ("conformal", "options", {"rounds": "a"}, "tabular: rounds is a whole number"),
    ],
)
def test_what_cannot_be_is_refused(predictor, key, value, words):
    with pytest.raises(InvalidSettingError, match=words):
        fitting(predictor, {key: value})
