"""A Gymnasium environment of architectures, and the simplest agent that learns in it.

The agent keeps a probability for each choice of each parameter, and moves it towards choices
that were rewarded above average (REINFORCE, one step an episode).
"""

import argparse

import numpy as np

from archcast.search.adapters.gymnasium import ArchitectureEnv


def main(episodes: int) -> None:
    env = ArchitectureEnv("nasbench201", "cifar10/test_accuracy")
    rng = np.random.default_rng(0)
    scores = [np.zeros(len(options)) for options in env.problem.parameters.options]
    average, best = None, (-np.inf, "")
    for _ in range(episodes):
        env.reset()
        chances = [np.exp(s - s.max()) / np.exp(s - s.max()).sum() for s in scores]
        action = np.array([rng.choice(len(p), p=p) for p in chances])
        _, reward, _, _, info = env.step(action)
        average = reward if average is None else 0.9 * average + 0.1 * reward
        gain = 0.05 * np.clip(reward - average, -5, 5)
        for at, (chance, chosen) in enumerate(zip(chances, action, strict=True)):
            scores[at] += gain * (np.eye(len(chance))[chosen] - chance)
        best = max(best, (reward, info["spec"]))
    print(f"{best[0]:.2f} %  {best[1]}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=300, help="episodes")
    main(options.parse_args().trials)
