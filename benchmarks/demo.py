"""What `make demo` made: are the generated digits read as the classes they were asked to be, and do they vary?

    python benchmarks/demo.py [RUN]            (default: runs/demo; trained first when it is not there)

A classifier trained on two thirds of scikit-learn's real digits reads 100 generated ones of each class (aim >= 95 %)
and, beside them, the other real third; the variance within a class stands beside that of real digits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from readers import train_reader
from sklearn.datasets import load_digits

import gannet


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    run = gannet.load(path) if path.exists() else gannet.train("digits", out=path)
    real = load_digits()
    images = torch.from_numpy(np.round(real.images / 16 * 255).astype(np.uint8))
    labels = torch.from_numpy(real.target)
    reader = train_reader(images[:1200], labels[:1200])
    ceiling = reader.accuracy(images[1200:], labels[1200:])
    made = torch.from_numpy(
        np.concatenate([run.sample(100, seed=digit, where={"label": str(digit)}) for digit in range(10)])[..., 0]
    )
    asked = torch.arange(10).repeat_interleave(100)
    by_class = reader.agreement_by_class(made, asked)
    variety = [
        float(made[asked == digit].double().var(0).sum() / images[labels == digit].double().var(0).sum())
        for digit in range(10)
    ]
    print(
        f"read as the class asked for: {reader.agreement(made, asked):.3f} (aim .95; unseen real digits {ceiling:.3f})"
    )
    print("by class: " + "  ".join(f"{digit}: {share:.2f}" for digit, share in by_class.items()))
    print(f"variance within a class over that of real digits: {np.mean(variety):.2f} (lowest {min(variety):.2f})")


if __name__ == "__main__":
    main()
