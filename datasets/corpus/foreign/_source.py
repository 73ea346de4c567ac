"""What happens to a foreign source inside its confined process: run it, build it, record it.

A source defines ``Net(in_shape, out_shape, prm, device)``, a module. First everything is done on
the meta device, where nothing is computed; sources that read numbers while they are built or run
(``.item()``, control flow on values) get a second try on real tensors.
"""

from __future__ import annotations

import gc
import importlib
import json
import random
import re
import sys
from types import ModuleType
from typing import Any, Final

import numpy as np

#: Numbers of weights up to this many elements are recorded, so they must be the same each time.
_SMALL = 64
#: What a source draws numbers with that may decide on its architecture.
_DICE: Final = re.compile(r"\brandom\.\w+\(|from random import|\brand(?:int|perm)\b")
#: Seeds that such a source is recorded with; a choice among three stays unseen once in 2,000.
_SEEDS: Final = range(8)
#: Parameters a source may ask for that its measurements do not tell.
_DEFAULTS = {"lr": 0.01, "momentum": 0.9, "dropout": 0.2, "batch": 1, "epoch_max": 1}


def prepare() -> None:
    """Import, before the first fork, whatever sources and the recorder need."""
    import torch

    from archcast.encoders._torch import record
    from archcast.encoders.spaces import _zoo_models

    _zoo_models.import_torchvision()
    for name in ("torch.utils.checkpoint", "torchvision.models", "torchvision.ops"):
        importlib.import_module(name)

    torch.set_num_threads(1)
    # What torch imports and looks up when an operator first runs, it does here, once for all.
    for device in ("meta", "cpu"):
        image, row = torch.zeros(1, 4, 8, 8, device=device), torch.zeros(1, 4, 4, device=device)
        for module, value in ((_image_layers(torch), image), (_row_layers(torch), row)):
            record.record(module.to_empty(device=device), (value,))
    gc.freeze()


def _image_layers(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.ReLU6(), nn.SiLU(), nn.GELU(),
        nn.Sigmoid(), nn.Hardswish(), nn.LeakyReLU(), nn.Dropout2d(), nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 4),
    )  # fmt: skip


def _row_layers(torch: Any) -> Any:
    return torch.nn.TransformerEncoderLayer(4, 2, 4)


def convert(code: str, settings: list[dict[str, Any]], held: list[str]) -> dict[str, Any]:
    """Record one source in several settings.

    Args:
        code: the source.
        settings: each with ``input`` (shape, batch first), ``dtype``, ``out_shape`` and ``prm``.
        held: the walls around this process, for the answer.

    Returns:
        ``held``, and ``results``: the text of a recording, or a reason, for each setting.
    """
    try:
        source = _run(code)
    except BaseException as error:  # foreign code may raise anything
        reason = _reason("import", error)
        return {"held": held, "results": [{"reason": reason} for _ in settings]}
    dice = _DICE.search(code) is not None
    return {"held": held, "results": [_tried(source, setting, dice) for setting in settings]}


def _run(code: str) -> ModuleType:
    module = ModuleType("foreign")
    sys.modules["foreign"] = module  # dataclasses and annotations look their module up
    exec(compile(code, "foreign", "exec"), module.__dict__)
    return module


def _tried(source: ModuleType, setting: dict[str, Any], dice: bool) -> dict[str, Any]:
    reason = ""
    for device in ("meta", "cpu"):
        try:
            recording = _recorded(source, setting, device)
            others = (_recorded(source, setting, device, seed) for seed in _SEEDS[1:])
            if dice and not all(_alike(recording, other) for other in others):
                # What was trained is not known, so any one graph would be false.
                return {"reason": "run: draws its architecture at random"}
            return {"recording": recording, "on": device}
        except BaseException as error:
            # The reason on real tensors is kept: on the meta device it may be torch's fault.
            reason = _reason("run", error)
    return {"reason": reason}


def _alike(first: str, second: str) -> bool:
    """Whether two recordings are of one architecture, whatever its weights."""
    one, other = json.loads(first), json.loads(second)
    return all(one[part] == other[part] for part in ("weights", "steps"))


def _recorded(source: ModuleType, setting: dict[str, Any], device: str, seed: int = 0) -> str:
    import torch

    from archcast.encoders._torch import record

    asked = getattr(source, "supported_hyperparameters", dict)()
    prm = dict.fromkeys(asked, 0.5) | _DEFAULTS | setting["prm"]
    shape = tuple(setting["input"])
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (what foreign code draws from)
    with torch.device(device), torch.no_grad(), _shortcuts(torch, device):
        net = source.Net(shape, tuple(setting["out_shape"]), prm, torch.device(device))
        if not isinstance(net, torch.nn.Module):
            raise TypeError("Net is no torch.nn.Module")
        dtype = getattr(torch, setting["dtype"])
        return record.record(net.to(device), (torch.zeros(shape, dtype=dtype),)).to_json()


def _shortcuts(torch: Any, device: str) -> Any:
    """What spares time without changing a graph.

    Random numbers for weights take most of the time of building; and sources that put a tensor on
    a processor themselves stay on the meta device.
    """
    from torch.overrides import TorchFunctionMode

    meta = torch.device("meta")

    def moved(value: Any) -> Any:
        named = isinstance(value, str) and value.partition(":")[0] in ("cpu", "cuda")
        return meta if named or isinstance(value, torch.device) else value

    class Shortcuts(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if getattr(func, "__module__", "") == "torch.nn.init" and func.__name__.endswith("_"):
                tensor = args[0] if args else kwargs["tensor"]
                if device == "meta" or tensor.numel() > _SMALL:
                    return tensor
            if device == "meta":
                if func in (torch.Tensor.cpu, torch.Tensor.cuda):
                    return args[0]
                if func is torch.Tensor.to:
                    args = tuple(map(moved, args))
                if "device" in kwargs:
                    kwargs = {**kwargs, "device": moved(kwargs["device"])}
            return func(*args, **kwargs)

    return Shortcuts()


def _reason(stage: str, error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{stage}: {type(error).__name__}: {text}"[:300]
