"""DARTS, the space of NAS-Bench-301: about 10^18 pairs of cells of four nodes.

References:
    Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.
    Zela et al., "Surrogate NAS Benchmarks: Going Beyond the Limited Search Spaces of Tabular NAS
    Benchmarks", ICLR 2022 (NAS-Bench-301).
"""

from __future__ import annotations

from archcast.encoders.spaces._two_cells import TwoCellSpace


class DARTS(TwoCellSpace):
    """Genotypes of DARTS: four nodes a cell, each reading two different states, all concatenated.

    The network of 8 cells and 32 channels is the one NAS-Bench-301 trains on CIFAR-10;
    ``DARTS(cells=20, width=36)`` is the final network of the DARTS paper. See
    :class:`~archcast.encoders.spaces._two_cells.TwoCellSpace` for specifications.
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


class DARTSImageNet(DARTS):
    """The ImageNet network of the DARTS paper: 14 cells, 48 channels, a stem of three strides.

    Takes the genotypes of :class:`DARTS` and goes by its name, but is not registered.
    """

    num_classes = 1000
    image_size = 224
    imagenet = True

    def __init__(self, cells: int = 14, width: int = 48) -> None:
        super().__init__(cells, width)
