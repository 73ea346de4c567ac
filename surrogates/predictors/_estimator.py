"""scikit-learn's estimator protocol without scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, Self

from archcast.encoders.errors import InvalidSettingError


class Estimator:
    """Constructor keywords are the parameters, stored unchanged under their names.

    ``sklearn.base.clone``, ``cross_val_score`` and pipelines take such an object.
    """

    @classmethod
    def _names(cls) -> list[str]:
        return sorted(set(inspect.signature(cls.__init__).parameters) - {"self"})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor keyword -> value."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor keywords.

        Raises:
            InvalidSettingError: no such keyword; the message has those there are.
        """
        for name, value in params.items():
            if name not in self._names():
                raise InvalidSettingError(
                    f"{type(self).__name__} has no parameter {name!r}; "
                    f"it has {', '.join(self._names()) or 'none'}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(),
        )
