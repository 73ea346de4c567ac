"""Turn any architecture into one canonical :class:`ComputeGraph`, and that into features."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archcast.encoders._read import read, read_all
    from archcast.encoders.graph import ComputeGraph, load_graphs, save_graphs
    from archcast.encoders.tabular import TabularFeatures

# `tabular` itself is no name here: the module of that name, once imported, would shadow it.
_LAZY = {
    "ComputeGraph": "graph",
    "TabularFeatures": "tabular",
    "load_graphs": "graph",
    "read": "_read",
    "read_all": "_read",
    "save_graphs": "graph",
}

__all__ = ["ComputeGraph", "TabularFeatures", "load_graphs", "read", "read_all", "save_graphs"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
