"""NASNet: pairs of cells of five nodes over thirteen operators.

References:
    Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018.
    Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.
    Radosavovic et al., "On Network Design Spaces for Visual Recognition", ICCV 2019, whose names
    of operators are taken.
"""

from __future__ import annotations

from archcast.encoders.spaces._two_cells import TwoCellSpace


class NASNet(TwoCellSpace):
    """Genotypes of NASNet: five nodes a cell; nodes that no other one reads are concatenated.

    The network is the one the DARTS code makes of such a genotype, of 8 cells and 32 channels
    unless the constructor is told otherwise; ``NASNet(cells=20, width=32)`` has the depth and width
    of NASNet-A (6 @ 768). The original TensorFlow code differs: it concatenates a cell's unread
    inputs too, puts the batch norm of a crossed convolution between its halves as well, and
    projects with its own stem. Nodes that concatenate their operands, which the paper's space
    also has, are left out. See :class:`~archcast.encoders.spaces._two_cells.TwoCellSpace` for
    specifications.
    """

    name = "nasnet"
    operators = (
        "skip_connect",
        "conv_3x1_1x3",
        "conv_7x1_1x7",
        "dil_conv_3x3",
        "avg_pool_3x3",
        "max_pool_3x3",
        "max_pool_5x5",
        "max_pool_7x7",
        "conv_1x1",
        "conv_3x3",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
    )
    nodes = 5
    distinct = False
    concat_all = False
