"""Where a training stands, in one safetensors file with a JSON header, written atomically."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSettingError, ModelFormatError

_NAME: Final = "checkpoint.safetensors"
_HEADER: Final = "archcast.training"


@dataclass
class Standing:
    """How far a training has come.

    Attributes:
        epoch: the epoch that is under way, from 0.
        step: optimisation steps done in it.
        best: lowest validation loss so far; infinite before the first.
        best_epoch: the epoch after which that was.
        seconds: time spent, over all runs.
        done: whether nothing is left to do.
        total: sum of the losses of this epoch's steps.
        history: one record an epoch.
    """

    epoch: int = 0
    step: int = 0
    best: float = float("inf")
    best_epoch: int = -1
    seconds: float = 0.0
    done: bool = False
    total: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass
class Checkpoint:
    """A training's standing with all its tensors.

    Attributes:
        standing: how far it has come.
        weights: name -> tensor of the model.
        best: the same after the best epoch; empty before the first.
        optimizer: torch's ``state_dict`` of the optimizer.
    """

    standing: Standing
    weights: dict[str, Any]
    best: dict[str, Any]
    optimizer: dict[str, Any]

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write it into the folder, over the one before.

        Raises:
            StorageError: it cannot be written; the one before stays.
        """
        from safetensors.torch import save

        tensors = {f"weights/{k}": v for k, v in self.weights.items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        for number, slots in self.optimizer["state"].items():
            tensors |= {f"optimizer/{number}/{k}": v for k, v in slots.items()}
        header = {
            "fingerprint": fingerprint,
            "standing": asdict(self.standing),
            "groups": self.optimizer["param_groups"],
        }
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        data = save(tensors, metadata={_HEADER: json.dumps(header)})
        write_atomically(folder / _NAME, lambda file: file.write(data))

    @classmethod
    def load(cls, folder: Path, fingerprint: str) -> Self | None:
        """Read it, if the folder has one.

        Raises:
            InvalidSettingError: it is of another training.
            ModelFormatError: it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / _NAME
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads(file.metadata()[_HEADER])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            raise ModelFormatError(f"{path}: damaged checkpoint ({error}); delete it") from error
        if header["fingerprint"] != fingerprint:
            raise InvalidSettingError(
                f"{path} is of a training with other settings or data; give another folder"
            )
        state: dict[int, dict[str, Any]] = {}
        for key in [key for key in tensors if key.startswith("optimizer/")]:
            _, number, slot = key.split("/", 2)
            state.setdefault(int(number), {})[slot] = tensors[key]
        return cls(
            Standing(**header["standing"]),
            _under("weights/", tensors),
            _under("best/", tensors),
            {"state": state, "param_groups": header["groups"]},
        )


def _under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
