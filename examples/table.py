"""A table: train, ask for rows by any column, fill gaps.

Needs the extra `tables`: pip install "gannet[tables]"
"""

import numpy as np
import pandas

import gannet

random = np.random.default_rng(0)
species = random.choice(["Adelie", "Chinstrap", "Gentoo"], 2_000, p=[0.44, 0.2, 0.36])
big = species == "Gentoo"
flipper = np.where(big, 217, 191) + random.normal(0, 6, 2_000)
mass = (50 * flipper - 5_900 + random.normal(0, 250, 2_000)).round(-1)
penguins = pandas.DataFrame({"species": species, "flipper_mm": flipper.round(), "mass_g": mass})

run = gannet.train(penguins, samples="40k", out="penguins")
heavy = run.sample(500, where={"mass_g": "5000.."})
gaps = penguins.head(300).assign(species=None)
filled = run.fill(gaps)

print(f"of penguins of five kilograms and more, {(heavy['species'] == 'Gentoo').mean():.0%} are Gentoo")
print(f"species filled in rightly: {(filled['species'] == species[:300]).mean():.0%} of 300")
