# make demo   set up and run the quickstart on the embedded model
# make test   set up, lint, check types and imports, run the tests
# make test-all  the same with the full counts of every claim
#
# PYTHON       the interpreter (3.11 or later)
# TORCH        auto: the CPU build where no GPU is found, else the index's own choice; or a requirement, "torch==2.14.1"
# JOBS         tests at the same time
# TORCH_INDEX  an index with CPU builds, where the usual one serves CUDA builds only:
#              make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH ?= auto
TORCH_INDEX ?=
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := $(VENV)/constraints.txt
READY := $(VENV)/ready
PYTEST := $(BIN)/pytest -q -n $(JOBS) --dist worksteal

.PHONY: setup pull demo test test-all lint clean

setup: $(READY)

$(READY): pyproject.toml $(wildcard */*.py */*/*.py)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@if [ "$(TORCH)" != auto ]; then echo "$(TORCH)"; \
	 elif command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then :; \
	 else echo "torch==2.13.0"; fi > $(CONSTRAINTS)
	@if [ -n "$(TORCH_INDEX)" ]; then $(BIN)/python -m pip install --quiet torch --index-url $(TORCH_INDEX); fi
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) --config-settings editable_mode=strict -e ".[train,teacher]" --group dev
	@touch $(READY)

pull: setup
	@$(BIN)/fewtune pull examples/quickstart.toml

demo: pull
	@sh examples/demo.sh $(BIN)/fewtune

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: lint pull
	@$(PYTEST) -m "not full"

test-all: lint pull
	@$(PYTEST)

clean:
	rm -rf build dist .fewtune .mypy_cache .ruff_cache .pytest_cache *.egg-info
