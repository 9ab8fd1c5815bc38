"""`python -m gannet` is the command `gannet`."""

from gannet.cli import main

main()
