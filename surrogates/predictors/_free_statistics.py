"""Labels that cost nothing: what can be counted on a network's graph."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.tabular import feature_names

#: Columns that are learned: parameters, multiplications, activations in all and at the most, layers
#: with weights, operators, and the longest path.
FREE: Final = (
    "log_weights", "log_macs", "log_written", "log_peak", "log_layers", "log_nodes", "log_depth",
)  # fmt: skip
#: Columns that follow from them by arithmetic, so that leaving those out hides nothing.
_TELLTALES: Final = (
    "log_moved", "largest_layer", "busiest_layer", "log_macs_per_weight", "log_written_per_mac",
    "log_macs_per_pixel", "log_written_per_pixel", "log_weights_per_layer", "log_macs_per_layer",
)  # fmt: skip


def free_statistics(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Part features into what costs nothing to know of a network, and a description without it.

    Args:
        x: (n, F) tabular features.

    Returns:
        (n, 7) columns :data:`FREE`, and the (n, F - 16) columns that neither are among them nor
        follow from them.

    Raises:
        InvalidSettingError: other features than the library's own; nobody knows what they count.
    """
    names = feature_names()
    if x.shape[1] != len(names):
        raise InvalidSettingError(
            f"free statistics are columns of archcast's {len(names)} features, and these are "
            f"{x.shape[1]}; give graphs, or pretrain_free=False"
        )
    free = [names.index(name) for name in FREE]
    hidden = {*free, *(names.index(name) for name in _TELLTALES)}
    return x[:, free], x[:, [at for at in range(len(names)) if at not in hidden]]
