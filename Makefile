# The project's everyday commands. Each makes the environment it needs.

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
GPU ?= .venv-gpu
CHECKPOINT ?= examples/mini

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
PARTS := bench export quantize runtime
PACKAGES := $(addprefix -p distilroberta.,$(PARTS))

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench bench-runtime bench-peers bench-quantized gpu clean

help:
	@echo "make demo    build the bundled checkpoint and fill masks with its variants"
	@echo "             (CHECKPOINT=folder or CHECKPOINT=distilbert/distilroberta-base: another one)"
	@echo "make test    run the tests"
	@echo "make lint    check style, format and types"
	@echo "make bench   measure: INT8 fill-mask against optimum, the import, quantizing, latency by variant"
	@echo "make bench-runtime    measure: cold start, overhead, memory, many callers, many texts"
	@echo "             (CLASSIFIER=folder TEXTS=file: many texts with these, not random weights)"
	@echo "make bench-peers      make the environment of OpenVINO and CTranslate2, $(PEERS)"
	@echo "make bench-quantized  measure: every variant against them, optimum and the machine's limit"
	@echo "make gpu     test and measure on an NVIDIA GPU, in an environment of its own, $(GPU)"
	@echo "make clean   remove what the others made, the environment included"

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py "$(CHECKPOINT)"

# A file's tests share what they build, so each file goes to one process.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile

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

bench-runtime: $(VENV)/.dev
	$(BIN)/python -m distilroberta.bench.cold_start
	$(BIN)/python -m distilroberta.bench.overhead
	$(BIN)/python -m distilroberta.bench.steady_memory
	$(BIN)/python -m distilroberta.bench.oversubscription
	$(BIN)/python -m distilroberta.bench.throughput \
		$(if $(CLASSIFIER),--checkpoint "$(CLASSIFIER)") $(if $(TEXTS),--texts "$(TEXTS)")

bench-peers: $(PEERS)/.made

bench-quantized: $(VENV)/.dev $(PEERS)/.made
	$(BIN)/python -m distilroberta.bench.quantized --peers $(PEERS)

gpu: $(GPU)/.made
	DISTILROBERTA_GPU=required $(GPU)/bin/python -m pytest -m gpu tests/gpu
	$(GPU)/bin/python -m distilroberta.bench.gpu

clean:
	rm -rf build dist $(VENV) $(PEERS) $(GPU) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
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

# onnxruntime-gpu has the same files as onnxruntime, so that one is taken away first.
$(GPU)/.made: pyproject.toml constraints.txt
	$(MAKE) VENV=$(GPU) $(GPU)/.dev
	$(GPU)/bin/python -m pip uninstall --quiet --yes onnxruntime
	$(GPU)/bin/python -m pip install --quiet \
		"onnxruntime-gpu[cuda,cudnn]$$(sed -n 's/^onnxruntime==/==/p' constraints.txt)"
	@touch $@

# The folders under the names they are imported by, which is how a type checker has to see them.
build/types:
	mkdir -p $@/distilroberta
	for part in $(PARTS); do ln -sfn ../../../$$part $@/distilroberta/$$part; done
