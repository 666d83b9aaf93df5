# Everything a developer types. The virtual environment is built once, from the committed lock.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
ROOMS := spaces surrogates engine evaluators search runs
# Small models need few threads; more of them only wait for one another.
export OMP_NUM_THREADS ?= 2
export HF_HUB_OFFLINE ?= 1
export HF_DATASETS_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test test-all check bench

demo: $(VENV)/ready
	$(BIN)/python examples/demo.py

test: $(VENV)/ready
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

test-all: $(VENV)/ready
	$(BIN)/python -m pytest -q -n 2

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=$(VENV)/typed $(BIN)/mypy $(ROOMS:%=-p mergesearch.%) -m mergesearch.cli -m mergesearch.plugins
	MYPYPATH=$(VENV)/typed:examples/zoo $(BIN)/mypy --allow-untyped-calls tests benchmarks
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/ready
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script --check || exit 1; done

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	mkdir -p $(VENV)/typed && ln -sfn ../.. $(VENV)/typed/mergesearch  # where mypy finds the package under its name
	touch $@
