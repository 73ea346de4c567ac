"""The model zoos that come as packages; see :mod:`archcast.encoders.spaces._zoo_models`."""

from archcast.encoders.spaces._zoo_models import (
    import_timm,
    import_torch,
    import_torchvision,
    timm_model,
    torchvision_model,
)

__all__ = [
    "import_timm",
    "import_torch",
    "import_torchvision",
    "timm_model",
    "torchvision_model",
]
