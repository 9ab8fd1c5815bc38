# make demo    a fresh environment, a GAN trained on handwritten digits, samples, and how good they are
# make test    the default tests, in the same environment
# make check   ruff and mypy          make slow   the proofs that take minutes
# make faults  the scorecard of faults: kills, full disks, hurt and hostile files (docs/reliability.md)
# make bench   the figures we claim   make clean  remove the environment and caches (never runs/)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test slow faults check format bench clean
.DEFAULT_GOAL := test

$(READY): pyproject.toml constraints.txt
	@echo "making $(VENV) (a few minutes the first time: PyTorch is large) ..."
	@$(BIN)/python -c "" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)
	$(BIN)/gannet train digits --out runs/demo
	$(BIN)/gannet sample runs/demo -n 64 --out runs/demo/samples
	$(BIN)/gannet evaluate runs/demo
	@echo
	@echo "Look at:  runs/demo/previews   the samples as training went on; the last picture is the result"
	@echo "          runs/demo/samples    64 new digits"
	@echo "          runs/demo/report.html  the proof: real? varied? new? private? fair? useful?"
	@echo "Next:     $(BIN)/gannet train YOUR_FOLDER_OR_TABLE"

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(READY)
	$(BIN)/python -m pytest -m slow

faults: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m fault -r f tests/faults tests

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	@for name in startup demo overhead kills modes gamma; do \
		echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; \
	done
	@echo "with data: $(BIN)/python benchmarks/fashion.py FOLDER; $(BIN)/python benchmarks/gamma.py FOLDER"

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
