"""Eight Gaussians on a ring: the smallest GAN one can look at.

A generator that forgets modes ("mode collapse") is easy to see here. Run it, then open runs/ring/previews.
"""

import tempfile
from pathlib import Path

import gannet

folder = Path(tempfile.mkdtemp()) / "ring"

# `toy:ring` is drawn, not read. 30,000 samples are a taste; leave `samples` out for a run that finds all eight modes.
run = gannet.train("toy:ring", samples="30k", out=folder, seed=1)

points = run.sample(1_000, seed=0)
print(f"{len(points)} points, mean distance from the centre {((points**2).sum(1) ** 0.5).mean():.2f} (real: 2.00)")

# Every record of training is in the log; scores fall as the generator learns.
scores = [line["score"] for line in run.log() if line["event"] == "score"]
print("running score:", " ".join(f"{score:.3f}" for score in scores))
