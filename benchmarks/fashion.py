"""Class-conditional Fashion-MNIST in 20 minutes on two cores: the default recipe beside `wgan_gp` and `gan`.

    python benchmarks/fashion.py DATA [--time 20m] [--recipes r3gan wgan_gp gan] [--samples r3gan=100k ...] [--out DIR]

DATA holds train30k.npz and test.npz (arrays `images`, `labels`). Prints, a recipe a line: samples seen, the share of
generated pictures that a classifier trained on real ones reads as the requested class (aim >= 85 %), and the accuracy
on the real test set of a classifier trained on generated pictures alone (aim >= 75 %), each beside the same for real.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from readers import train_reader

import gannet
from gannet.conditions import even
from gannet.model import Model

PER_CLASS = 1_000


def generated(run: Model, per_class: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`per_class` pictures of each class, and the classes they were asked to be."""
    pictures = [run.sample(per_class, seed=digit, where={"label": str(digit)}) for digit in range(10)]
    return torch.from_numpy(np.concatenate(pictures)[..., 0]), torch.arange(10).repeat_interleave(per_class)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--time", default="20m")
    parser.add_argument("--recipes", nargs="+", default=["r3gan", "wgan_gp", "gan"])
    parser.add_argument("--samples", nargs="*", default=[], metavar="RECIPE=COUNT", help="in place of a time")
    parser.add_argument("--out", type=Path, default=Path("runs/fashion"))
    arguments = parser.parse_args()
    train, test = (np.load(arguments.data / name) for name in ("train30k.npz", "test.npz"))
    reader = train_reader(*map(torch.from_numpy, (train["images"], train["labels"])))
    tested = tuple(map(torch.from_numpy, (test["images"], test["labels"])))
    ceiling = reader.accuracy(*tested)
    print(f"real: a classifier trained on 30,000 real pictures reads the real test set at {ceiling:.3f}", flush=True)
    counts = dict(pair.split("=") for pair in arguments.samples)
    for recipe in arguments.recipes:
        started = time.monotonic()
        budget = {"samples": counts[recipe]} if recipe in counts else {"time": arguments.time}
        run = gannet.train(str(arguments.data / "train30k.npz"), recipe=recipe, out=arguments.out / recipe, **budget)
        minutes = (time.monotonic() - started) / 60
        pictures, labels = generated(run, PER_CLASS)
        agreed = reader.agreement(pictures, labels)
        shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        useful = train_reader(pictures[shuffled], labels[shuffled]).accuracy(*tested)
        shown = pictures.view(10, PER_CLASS, *pictures.shape[1:])[:, :6].transpose(0, 1).flatten(0, 1)
        grid = run.domain.preview(run.domain.encode(shown[..., None].numpy()), even(run.spec.condition, len(shown)))
        grid.save(arguments.out / f"{recipe}.png")
        print(
            f"{recipe}: {minutes:.1f} min, best checkpoint at {run.seen:,} samples: agreement {agreed:.3f} "
            f"(aim .85), trained on generated {useful:.3f} (aim .75; real {ceiling:.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
