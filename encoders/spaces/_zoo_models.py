"""The model zoos that come as packages: made importable, and their models made by name."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from archcast.encoders.errors import MissingExtraError


def timm_model(name: str, size: int, num_classes: int | None = None) -> Any:
    """A timm model for images of ``size``; models without that option take any size.

    Args:
        name: architecture.
        size: height and width of its images.
        num_classes: outputs; those the package gives it if None.
    """
    timm = import_timm()
    classes = {} if num_classes is None else {"num_classes": num_classes}
    try:
        return timm.create_model(name, img_size=size, **classes)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **classes)


def torchvision_model(name: str, size: int, num_classes: int | None = None) -> Any:
    """A torchvision classifier for images of ``size``; see :func:`timm_model`."""
    import_torchvision()
    torch = import_torch()
    from torchvision import models

    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if name.startswith("vit_"):
        return models.get_model(name, image_size=size, **options)
    if name.startswith("regnet") and torch.get_default_device().type == "meta":
        # Its widths are computed with tensors, which the meta device has no numbers for.
        with torch.device("cpu"):
            return models.get_model(name, **options).to("meta")
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    return models.get_model(name, **options)


def import_torch() -> Any:
    """The torch package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("this needs torch: pip install 'archcast[torch]'") from error
    return torch


@cache
def import_torchvision() -> Any:
    """The torchvision package, importable where its own operators do not load, too.

    Raises:
        MissingExtraError: it is not installed.
    """
    torch = import_torch()
    if find_spec("torchvision") is None:
        raise MissingExtraError("this needs torchvision: pip install 'archcast[torch]'")
    if not _operators_load(torch):
        # Importing torchvision gives these two a form for meta tensors, so they must exist.
        for name in ("nms", "qnms"):
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _declared(torch).define(signature)
    import torchvision

    return torchvision


@cache
def import_timm() -> Any:
    """The timm package, which imports torchvision.

    Raises:
        MissingExtraError: it is not installed.
    """
    import_torchvision()
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("this needs timm: pip install 'archcast[torch]'") from error
    return timm


def _operators_load(torch: Any) -> bool:
    """Whether torchvision's operators exist, or its compiled part can be loaded to make them."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    spec = find_spec("torchvision")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    for library in folder.glob("_C.*") if spec is not None else ():
        try:
            torch.ops.load_library(str(library))
        except OSError:  # built for another torch: a CUDA build beside a CPU one, usually
            continue
        return True
    return False


@cache
def _declared(torch: Any) -> Any:
    """Declarations live as long as this object."""
    return torch.library.Library("torchvision", "FRAGMENT")
