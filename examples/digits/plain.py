"""Search a small convolutional network for scikit-learn's digits with Optuna, training each.

python plain.py --trials 60
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import optuna
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

trained: list[dict[str, Any]] = []


def load() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Pictures (n, 1, 8, 8) and classes (n,), for training, validation and test."""
    x, y = load_digits(return_X_y=True)
    x = torch.tensor(x.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
    rest, test = train_test_split(np.arange(len(y)), test_size=400, random_state=0, stratify=y)
    train, val = train_test_split(rest, test_size=400, random_state=0, stratify=y[rest])
    classes = torch.tensor(y)
    return {
        name: (x[rows], classes[rows])
        for name, rows in (("train", train), ("val", val), ("test", test))
    }


DATA = load()


def build(params: dict[str, Any]) -> nn.Module:
    """The network that a trial chose."""
    layers: list[nn.Module] = []
    channels, size = 1, 8
    for i in range(params["layers"]):
        filters, kernel = params[f"filters{i}"], params["kernel"]
        layers += [nn.Conv2d(channels, filters, kernel, padding=kernel // 2), nn.ReLU()]
        if i < 2:
            layers.append(nn.MaxPool2d(2))
            size //= 2
        channels = filters
    layers += [nn.Flatten(), nn.Dropout(params["dropout"]), nn.Linear(channels * size**2, 10)]
    return nn.Sequential(*layers)


def accuracy(model: nn.Module, part: str) -> float:
    """Share of a part's pictures that are told right."""
    x, y = DATA[part]
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def fit(params: dict[str, Any], epochs: int = 8) -> nn.Module:
    """Train a network from scratch; always the same for the same choices."""
    torch.manual_seed(0)
    model = build(params)
    optimizer = torch.optim.Adam(model.parameters(), lr=params["lr"])
    x, y = DATA["train"]
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def train_and_evaluate(params: dict[str, Any]) -> float:
    """Validation accuracy after training, between 0 and 1."""
    trained.append(params)
    return accuracy(fit(params), "val")


def objective(trial: optuna.Trial) -> float:
    """What Optuna maximises."""
    layers = trial.suggest_int("layers", 1, 3)
    params = {
        "layers": layers,
        "kernel": trial.suggest_categorical("kernel", [3, 5]),
        "dropout": trial.suggest_float("dropout", 0.2, 0.5),
        "lr": trial.suggest_float("lr", 1e-5, 1e-1, log=True),
    }
    for i in range(layers):
        params[f"filters{i}"] = trial.suggest_int(f"filters{i}", 4, 32, log=True)
    return train_and_evaluate(params)


def main() -> tuple[int, float, float]:
    """Search, and give trainings, validation and test accuracy of the best."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=60)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=chosen.seed)
    )
    study.optimize(objective, n_trials=chosen.trials)
    best = study.best_params
    value = study.best_value
    test = accuracy(fit(best), "test")
    print(f"{len(trained)} trainings, validation {value:.2%}, test {test:.2%}: {best}")
    return len(trained), value, test


if __name__ == "__main__":
    main()
