"""Search spaces: from a text to the graph of the full network, without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._fields import Field, FieldSpace
from archcast.encoders.spaces._net import Net, Parameter, Value

__all__ = [
    "SPACES",
    "Field",
    "FieldSpace",
    "Net",
    "Parameter",
    "Space",
    "Value",
    "get_space",
    "recognise",
    "register",
]

#: Entry points by which other packages make their spaces known: ``mine = "package.module:Class"``.
_GROUP: Final = "archcast.spaces"
#: What is a file's name rather than a specification.
_FILE: Final = re.compile(r"[\w./\\~ -]*[a-zA-Z_][\w./\\~ -]*\.[a-zA-Z]\w{1,11}")
_NAME: Final = re.compile(r"[a-zA-Z][\w-]*", re.ASCII)
#: The library's own spaces: name -> module and class, imported when first asked for.
_OWN: Final = {
    "nasbench201": "nasbench201.NASBench201",  # first: its texts are given without a prefix most
    "autoformer_tiny": "autoformer.AutoFormerTiny",
    "autoformer_small": "autoformer.AutoFormerSmall",
    "autoformer_base": "autoformer.AutoFormerBase",
    "flexibert": "flexibert.FlexiBERT",
    "hat_iwslt14deen": "hat.HATIWSLT14",
    "hat_wmt14ende": "hat.HATWMT14German",
    "hat_wmt14enfr": "hat.HATWMT14French",
    "hat_wmt19ende": "hat.HATWMT19",
    "hwgpt_s": "hwgpt.HWGPTSmall",
    "hwgpt_m": "hwgpt.HWGPTMedium",
    "hwgpt_l": "hwgpt.HWGPTLarge",
    "scan_llm": "scan_llm.ScanLLM",
    "timm": "zoos.Timm",
    "torchvision": "zoos.Torchvision",
    "darts": "darts.DARTS",
    "nasnet": "nasnet.NASNet",
    "nasbench_macro": "nasbench_macro.NASBenchMacro",
    "nasbench101": "nasbench101.NASBench101",
    "nasbench_graph": "nasbench_graph.NASBenchGraph",
    "nasbench_mr": "nasbench_mr.NASBenchMR",
    "nasbench_nlp": "nasbench_nlp.NASBenchNLP",
    "nats_size": "nats_size.NATSSize",
    "fbnet": "fbnet.FBNet",
    "mnasnet": "mnasnet.MnasNet",
    "ofa_mobilenetv3": "ofa_mobilenetv3.OFAMobileNetV3",
    "ofa_mobilenetv3_w12": "ofa_mobilenetv3.OFAMobileNetV3Wide",
    "ofa_resnet50": "ofa_resnet50.OFAResNet50",
    "proxylessnas": "proxylessnas.ProxylessNAS",
    "transnas_macro": "transnas_macro.TransNASMacro",
    "transnas_micro": "transnas_micro.TransNASMicro",
    # By its full name: it lies in a layer above, with the data that it is made of.
    "lemur": "archcast.datasets.benchmarks._lemur_space.LemurSpace",
}


class _Spaces(MutableMapping[str, Space[Any]]):
    """Name -> space; a space of the library's own is imported when it is first looked up."""

    def __init__(self) -> None:
        self._found: dict[str, Space[Any] | None] = dict.fromkeys(_OWN)

    def __getitem__(self, name: str) -> Space[Any]:
        space = self._found[name]
        if space is None:
            module, _, kind = _OWN[name].rpartition(".")
            full = module if "." in module else f"archcast.encoders.spaces.{module}"
            space = getattr(import_module(full), kind)()
            self._found[name] = space
        return space

    def __setitem__(self, name: str, space: Space[Any]) -> None:
        self._found[name] = space

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __len__(self) -> int:
        return len(self._found)


#: Space name -> space.
SPACES: MutableMapping[str, Space[Any]] = _Spaces()


def register(space: Space[Any]) -> Space[Any]:
    """Make a space known by its name to :func:`get_space` and :func:`recognise`.

    Raises:
        InvalidSpecError: it is no space with a name of letters, digits, - and _, or the name is
            that of one of the library's own.
    """
    name = getattr(space, "name", None)
    if not isinstance(space, Space) or not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSpecError(
            f"{shown(space)} is no instance of a Space with a name of letters, digits, - and _"
        )
    if name in _OWN:
        raise InvalidSpecError(
            f"{shown(name)} is a search space of the library; choose another name"
        )
    SPACES[name] = space
    return space


def get_space(name: str) -> Space[Any]:
    """The space of that name: the library's, one that was registered, or another package's.

    Packages make theirs known by an entry point of the group ``archcast.spaces``; one that is
    called like a space of the library is not looked at.

    Raises:
        InvalidSpecError: no such space, or that of another package cannot be loaded.
    """
    if not isinstance(name, str):
        raise InvalidSpecError(f"a search space is asked for by its name, not {shown(name)}")
    if not _has(name):
        known = _names()
        close = get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
        raise InvalidSpecError(f"no search space is called {shown(name)}{hint}")
    return SPACES[name]


def _has(name: str) -> bool:
    """Whether there is a space of that name; one of another package is loaded."""
    if name not in SPACES and _NAME.fullmatch(name) and (found := _entry(name)) is not None:
        SPACES[name] = found
    return name in SPACES


def _names() -> list[str]:
    """All that can be asked for; the spaces of other packages are not loaded."""
    others = sorted(point.name for point in entry_points(group=_GROUP))
    return list(dict.fromkeys([*SPACES, *filter(_NAME.fullmatch, others)]))


@cache
def _entry(name: str) -> Space[Any] | None:
    """Another package's space by name; None if no package has one."""
    points = list(entry_points(group=_GROUP, name=name))
    if not points:
        return None
    try:
        found: Any = points[0].load()
        space = found() if isinstance(found, type) else found
    except Exception as error:  # another package's module may raise anything
        raise InvalidSpecError(
            f"the search space {shown(name)} of {points[0].value} cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(space, Space) or space.name != name:
        raise InvalidSpecError(
            f"the entry point {shown(name)} of the group {_GROUP} is no Space of that name: "
            f"{points[0].value}"
        )
    return space


def recognise(text: str) -> tuple[Space[Any], str] | None:
    """Tell which space a text belongs to.

    Args:
        text: ``<space>:<specification>``, or a specification that only one space has.

    Returns:
        The space, and the specification without prefix (not checked); None if it is no text of
        a known space.
    """
    prefix, colon, rest = text.strip().partition(":")
    if colon and _has(prefix):
        return SPACES[prefix], rest
    if _FILE.fullmatch(text.strip()):  # asking every space means importing all of them
        return None
    return next(((s, text.strip()) for s in SPACES.values() if s.owns(text.strip())), None)
