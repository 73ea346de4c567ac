"""Surrogates in the clothes of other optimizers, one module each, imported when it is named.

``optuna``, ``ray_tune``, ``syne_tune``, ``pymoo``, ``gymnasium``, ``nevergrad`` and ``ask_tell``
(scikit-optimize's interface). What they have in common is here: a :class:`Problem` gives the
values of objectives, a :class:`Measure` is an objective of one's own function, and
:class:`Parameters` are a space's choices as optimizers know them.
"""

from archcast.search.adapters._common import Measure, Problem, Scored
from archcast.search.adapters._parameters import Parameters

__all__ = ["Measure", "Parameters", "Problem", "Scored"]
