"""Ask and tell as in scikit-optimize: one's own choices, one's own loss, a strategy of archcast."""

import argparse
from typing import Any

from archcast.search.adapters.ask_tell import Optimizer

DIMENSIONS = [(1, 6), [16, 32, 64, 128], ["relu", "gelu", "silu"]]


def loss(x: list[Any]) -> float:
    depth, width, activation = x
    return abs(depth - 4) + abs(width - 64) / 32 + (activation != "gelu")


def main(trials: int) -> None:
    optimizer = Optimizer(DIMENSIONS, "evolution", random_state=0)
    for _ in range(trials):
        x = optimizer.ask()
        optimizer.tell(x, loss(x))
    result = optimizer.get_result()
    print(f"{result.fun:.2f} at {result.x} after {len(result.x_iters)} points")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=50)
    main(options.parse_args().trials)
