# The project's everyday commands. Each makes the environment it needs.

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
CHECKPOINT ?= examples/mini

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
PARTS := bench export quantize runtime
PACKAGES := $(addprefix -p distilroberta.,$(PARTS))

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench bench-peers bench-quantized clean

help:
	@echo "make demo    build the bundled checkpoint and fill masks with its variants"
	@echo "             (CHECKPOINT=folder or CHECKPOINT=distilbert/distilroberta-base: another one)"
	@echo "make test    run the tests"
	@echo "make lint    check style, format and types"
	@echo "make bench   measure: INT8 fill-mask against optimum, the import, quantizing, latency by variant"
	@echo "make bench-peers      make the environment of OpenVINO and CTranslate2, $(PEERS)"
	@echo "make bench-quantized  measure: every variant against them, optimum and the machine's limit"
	@echo "make clean   remove what the others made, the environment included"

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py "$(CHECKPOINT)"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev build/types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m distilroberta.bench.fill_mask_int8
	$(BIN)/python -m distilroberta.bench.import_cost
	$(BIN)/python -m distilroberta.bench.quantizing
	$(BIN)/python -m pytest bench --benchmark-only

bench-peers: $(PEERS)/.made

bench-quantized: $(VENV)/.dev $(PEERS)/.made
	$(BIN)/python -m distilroberta.bench.quantized --peers $(PEERS)

clean:
	rm -rf build dist $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -rf *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) -e '.[export]'
	@touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(PEERS)/.made: $(VENV)/.dev requirements-peers.txt
	$(BIN)/python -m distilroberta.bench.peer_environment $(PEERS)
	@touch $@

# The folders under the names they are imported by, which is how a type checker has to see them.
build/types:
	mkdir -p $@/distilroberta
	for part in $(PARTS); do ln -sfn ../../../$$part $@/distilroberta/$$part; done
