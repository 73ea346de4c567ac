"""DARTS, the space of NAS-Bench-301: about 10^18 pairs of cells of four nodes.

References:
    Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.
    Zela et al., "Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS
    Benchmarks", ICLR 2022 (NAS-Bench-301).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._genotype import Genotype
from archcast.encoders.spaces._two_cells import TwoCellSpace

#: What the names in a configuration of NAS-Bench-301 begin with.
_CONFIG: Final = "NetworkSelectorDatasetInfo:darts:"


class DARTS(TwoCellSpace):
    """Genotypes of DARTS: four nodes a cell, each reading two different states, all concatenated.

    The network of 8 cells and 32 channels is the one NAS-Bench-301 trains on CIFAR-10;
    ``DARTS(cells=20, width=36)`` is the final network of the DARTS paper. See
    :class:`~archcast.encoders.spaces._two_cells.TwoCellSpace` for specifications; a configuration
    of NAS-Bench-301, a mapping from names such as
    ``NetworkSelectorDatasetInfo:darts:edge_normal_0``, is read too.
    """

    name = "darts"
    operators = (
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    nodes = 4
    distinct = True
    concat_all = True

    def parse(self, spec: Any) -> Genotype:
        """Read a genotype in any form, or a configuration of NAS-Bench-301; see the class."""
        if isinstance(spec, Mapping) and any(str(key).startswith(_CONFIG) for key in spec):
            spec = {kind: _configured(spec, kind) for kind in ("normal", "reduce")}
        return super().parse(spec)


def _configured(config: Mapping[str, Any], kind: str) -> list[tuple[str, str]]:
    """The edges of one cell of a configuration, as pairs of operator and state."""
    pairs: list[tuple[str, str]] = []
    states = ""
    try:
        for node in range(DARTS.nodes):
            # The first node has no choice; edges are counted over all states before each node.
            states = config[f"{_CONFIG}inputs_node_{kind}_{node + 2}"] if node else "0_1"
            edge = f"{_CONFIG}edge_{kind}_"
            first = node * (node + 3) // 2
            pairs += [(config[f"{edge}{first + int(s)}"], s) for s in str(states).split("_")]
    except KeyError as error:
        raise InvalidSpecError(f"darts: the configuration lacks {error.args[0]!r}") from error
    except ValueError as error:
        raise InvalidSpecError(
            f"darts: {shown(states)} is no list of states such as '0_2'"
        ) from error
    return pairs


class DARTSImageNet(DARTS):
    """The ImageNet network of the DARTS paper: 14 cells, 48 channels, a stem of three strides.

    Takes the genotypes of :class:`DARTS` and goes by its name, but is not registered.
    """

    num_classes = 1000
    image_size = 224
    imagenet = True

    def __init__(self, cells: int = 14, width: int = 48) -> None:
        super().__init__(cells, width)
