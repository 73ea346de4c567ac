"""One trainer for all networks: AdamW, early stopping, resuming, logs, several processes, CUDA."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.predictors.graphs._checkpoint import Checkpoint, Standing
from archcast.predictors.graphs._device import torch_device
from archcast.predictors.graphs._logs import Logs


class Objective(Protocol):
    """What is learned: any rows, any loss. With several processes it is pickled to each."""

    def steps(self, rng: np.random.Generator) -> Sequence[NDArray[np.int64]]:
        """The rows of every optimisation step of one epoch."""
        ...

    def loss(self, model: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        """The loss of some rows; it must call ``model(...)`` itself, not the model's parts.

        Chance is torch's global generator, seeded anew each step. Rows are a share of a step's rows
        if there are several processes.
        """
        ...

    def validate(self, model: Any) -> float | None:
        """Loss of what is not learned from, or None where everything is; without gradients."""
        ...

    def fingerprint(self) -> str:
        """Changes with the data, so that a checkpoint is not resumed with others."""
        ...


@dataclass(frozen=True, slots=True)
class Training:
    """How to train.

    Attributes:
        epochs: passes over the rows, at most.
        learning_rate: of AdamW at its peak; a cosine brings it to 0.
        weight_decay: of AdamW, on matrices only.
        clip: largest norm of the gradient.
        warmup: share of all epochs in which the learning rate rises to its peak.
        patience: epochs without a better validation before it stops; None never stops. Where there
            is a validation, the best epoch's weights are kept in either case.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: Fabric's name; ``auto`` is ``bf16-mixed`` on CUDA and ``32-true`` on CPU.
        processes: that share every step's rows, on each machine.
        nodes: machines; more than one must be started with torchrun or ``fabric run``.
        strategy: Fabric's name; ``auto`` starts processes itself (``ddp_spawn``), unless torchrun
            has done so.
        folder: where checkpoints and logs go (all machines must see it); None keeps nothing. A
            training that was killed goes on from the folder's checkpoint.
        save_seconds: a checkpoint is written this often.
        logs: ``csv`` and ``tensorboard``, both in the folder.
        progress: whether a bar is shown.
        title: what the bar is called.
    """

    epochs: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    warmup: float = 0.1
    patience: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    processes: int = 1
    nodes: int = 1
    strategy: str = "auto"
    folder: str | None = None
    save_seconds: float = 30.0
    logs: tuple[str, ...] = ()
    progress: bool = False
    title: str = "training"

    def fingerprint(self, model: torch.nn.Module, objective: Objective) -> str:
        """Of what is learned and how; not of where, which may change while it goes on."""
        names = ("epochs", "learning_rate", "weight_decay", "clip", "warmup", "patience", "seed")
        how = [getattr(self, name) for name in names]
        shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
        return repr((how, shapes, objective.fingerprint()))


#: What torchrun, ``fabric run`` and cluster launchers set for the processes they start.
_LAUNCHED: Final = ("TORCHELASTIC_RUN_ID", "LT_CLI_USED", "SLURM_NTASKS")


def train(model: torch.nn.Module, objective: Objective, how: Training) -> list[dict[str, float]]:
    """Train a model in place; afterwards it is on the CPU, in evaluation mode.

    Args:
        model: what is trained; parameters with ``requires_grad`` off stay as they are.
        objective: what is learned.
        how: settings.

    Returns:
        One record an epoch: ``epoch``, ``loss``, ``validation`` (NaN without one), ``rate``.

    Raises:
        DeviceError: CUDA is asked for and absent.
        InvalidSettingError: settings that make no sense, or a folder of another training.
        StorageError: the folder cannot be written.
    """
    device = torch_device(how.device)
    if how.epochs < 1 or how.processes < 1 or how.nodes < 1 or how.learning_rate <= 0:
        raise InvalidSettingError("epochs, processes, nodes and the learning rate are positive")
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        fabric = _fabric(device, how)
        if how.processes * how.nodes > 1:
            weights, history = fabric.launch(_sent, _Sent(model, objective, how))
            model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        else:
            history = _run(fabric, model, objective, how)[1]
    model.to("cpu").eval()
    return history


def _fabric(device: torch.device, how: Training) -> Any:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    strategy: Any = how.strategy
    if how.processes * how.nodes > 1:
        launched = any(name in os.environ for name in _LAUNCHED)
        start: dict[str, Any] = {"ddp": "popen", "ddp_spawn": "spawn", "ddp_fork": "fork"}
        start["auto"] = start["ddp" if launched else "ddp_spawn"]
        if strategy not in start:
            raise InvalidSettingError(f"unknown strategy {strategy!r}; one of {', '.join(start)}")
        # A step may leave parameters out: a task without labels, a head that is not asked.
        strategy = DDPStrategy(start_method=start[strategy], find_unused_parameters=True)
    precision: Any = how.precision
    if precision == "auto":
        precision = "bf16-mixed" if device.type == "cuda" else "32-true"
    return Fabric(
        accelerator=device.type,
        devices=how.processes,
        num_nodes=how.nodes,
        strategy=strategy,
        precision=precision,
    )


class _Sent:
    """What each process gets; Fabric must not look into it, it cannot take frozen dataclasses."""

    def __init__(self, model: torch.nn.Module, objective: Objective, how: Training) -> None:
        self.model, self.objective, self.how = model, objective, how


def _sent(fabric: Any, what: _Sent) -> tuple[dict[str, Any], list[dict[str, float]]]:
    # Tensors that came from another process share its memory: all would step in the same weights.
    weights, history = _run(fabric, copy.deepcopy(what.model), what.objective, what.how)
    # And a tensor cannot be fetched from a process that has ended.
    return {k: v.numpy() for k, v in weights.items()}, history


def _run(
    fabric: Any, model: torch.nn.Module, objective: Objective, how: Training
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """Train in this process, one of ``fabric.world_size``."""
    run = _Run(fabric, model, objective, how)
    run.resume()
    try:
        run.epochs()
    finally:
        run.logs.close()
    return {k: v.cpu() for k, v in model.state_dict().items()}, run.standing.history


class _Run:
    """One training in one process."""

    def __init__(
        self, fabric: Any, model: torch.nn.Module, objective: Objective, how: Training
    ) -> None:
        self.fabric, self.plain, self.objective, self.how = fabric, model, objective, how
        optimizer = torch.optim.AdamW(_groups(model, how), lr=how.learning_rate)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.standing = Standing()
        self.best: dict[str, torch.Tensor] = {}
        self.folder = Path(how.folder) if how.folder is not None else None
        self.fingerprint = how.fingerprint(model, objective)
        self.logs = Logs(self.folder if fabric.is_global_zero else None, how.logs)
        self.saved = time.monotonic()
        self.started = time.monotonic()

    # --------------------------------------------------------------- epochs
    def epochs(self) -> None:
        """All epochs that are left."""
        from tqdm import tqdm

        how, at = self.how, self.standing
        hidden = not (how.progress and self.fabric.is_global_zero)
        with tqdm(
            total=how.epochs, initial=at.epoch, desc=how.title, unit="epoch", disable=hidden
        ) as bar:
            while not at.done:
                self._epoch()
                bar.update()
                bar.set_postfix({k: f"{v:.3g}" for k, v in at.history[-1].items() if k != "epoch"})
        if self.best:
            self.plain.load_state_dict(self.best)

    def _epoch(self) -> None:
        at, how = self.standing, self.how
        steps = self.objective.steps(np.random.default_rng([how.seed, at.epoch]))
        self.model.train()
        rate = 0.0
        while at.step < len(steps):
            rate = self._rate((at.epoch + at.step / len(steps)) / how.epochs)
            at.total += self._step(steps[at.step], rate)
            at.step += 1
            self._save_now_and_then()
        self.model.eval()
        with torch.no_grad():
            value = self.objective.validate(self.model)
        found = math.nan if value is None else float(self.fabric.broadcast(value))
        loss = at.total / max(len(steps), 1)
        at.history.append({"epoch": at.epoch, "loss": loss, "validation": found, "rate": rate})
        if found < at.best:
            at.best, at.best_epoch = found, at.epoch
            self.best = {k: v.detach().clone() for k, v in self.plain.state_dict().items()}
        at.epoch, at.step, at.total = at.epoch + 1, 0, 0.0
        tired = how.patience is not None and value is not None
        at.done = at.epoch >= how.epochs or (
            tired and at.epoch - at.best_epoch > (how.patience or 0)
        )
        self.logs.add(at.history)
        self._save_now_and_then(force=at.done)

    def _step(self, rows: NDArray[np.int64], rate: float) -> float:
        fabric, at, how = self.fabric, self.standing, self.how
        # Every step has a seed of its own: a training that goes on is the same as one that did.
        seed = np.random.SeedSequence([how.seed, at.epoch, at.step, fabric.global_rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        share = rows[fabric.global_rank :: fabric.world_size]
        if len(rows) < fabric.world_size:
            share = rows
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.objective.loss(self.model, share)
        if not loss.requires_grad:  # nothing to compare in this step
            loss = loss + 0 * sum(p.sum() for p in self.plain.parameters())
        fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.plain.parameters(), how.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def _rate(self, share: float) -> float:
        """Learning rate when that share of all epochs is done."""
        how = self.how
        if share < how.warmup:
            return how.learning_rate * max(share / how.warmup, 0.02)
        rest = (share - how.warmup) / max(1 - how.warmup, 1e-9)
        return how.learning_rate * max((1 + math.cos(math.pi * rest)) / 2, 1e-3)

    # ---------------------------------------------------------- checkpoints
    def resume(self) -> None:
        """Go on where the folder's checkpoint stands, if there is one."""
        if self.folder is None:
            return
        found = Checkpoint.load(self.folder, self.fingerprint)
        if found is not None:
            self.standing = found.standing
            self.plain.load_state_dict(found.weights)
            self.best = {k: v.to(self.fabric.device) for k, v in found.best.items()}
            self.optimizer.load_state_dict(found.optimizer)
            self.logs.add(found.standing.history)

    def _save_now_and_then(self, force: bool = False) -> None:
        """Write a checkpoint if it is time; the first process does so for all."""
        now = time.monotonic()
        if self.folder is None or not self.fabric.is_global_zero:
            return
        if not force and now - self.saved < self.how.save_seconds:
            return
        self.standing.seconds += now - self.started
        self.started = self.saved = now
        optimizer = self.optimizer.state_dict()
        weights = self.plain.state_dict()
        Checkpoint(self.standing, weights, self.best, optimizer).save(self.folder, self.fingerprint)


def _groups(model: torch.nn.Module, how: Training) -> list[dict[str, Any]]:
    """Parameters that are learned: matrices with weight decay, all others without."""
    learned = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": how.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
