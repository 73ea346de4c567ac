"""Where networks are trained, and what that needs to be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archcast.encoders.errors import DeviceError, InvalidSettingError, MissingExtraError

if TYPE_CHECKING:
    import torch


def need_torch() -> None:
    """Check that the extra is there.

    Raises:
        MissingExtraError: torch, torch-geometric or Lightning Fabric is not installed.
    """
    try:
        import lightning_fabric  # noqa: F401
        import torch  # noqa: F401
        import torch_geometric  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"graph networks need {error.name}: pip install 'archcast[graphs]'"
        ) from error


def torch_device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.

    Raises:
        DeviceError: CUDA is asked for and absent.
        InvalidSettingError: no such device.
    """
    import torch

    if name not in {"auto", "cpu", "cuda"}:
        raise InvalidSettingError(f"unknown device {name!r}; one of auto, cpu, cuda")
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise DeviceError("CUDA was asked for, but torch finds none; device='cpu' works anywhere")
    return torch.device("cuda" if found and name != "cpu" else "cpu")
