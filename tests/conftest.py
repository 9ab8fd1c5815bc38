"""One thread a test: small tensors gain nothing from more, and figures do not depend on the machine's load."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)
