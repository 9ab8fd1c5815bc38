"""A GAN with scikit-learn's conventions: fit an array, sample an array.

Needs the extra `tables`: pip install "gannet[tables]"
"""

import numpy as np

from gannet import GAN

random = np.random.default_rng(0)
height = random.normal(170, 8, 2_000)
weight = 0.9 * (height - 100) + random.normal(0, 5, 2_000)
people = np.stack([height, weight], axis=1)

model = GAN(samples="40k", random_state=0).fit(people)
made = model.sample(1_000)

print(f"columns' means: real {people.mean(0).round(1)}, generated {made.mean(0).round(1)}")
print(f"correlation: real {np.corrcoef(people.T)[0, 1]:.2f}, generated {np.corrcoef(made.T)[0, 1]:.2f}")
