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
.PHONY: help demo test lint format bench bench-runtime bench-peers results figures gpu clean

help:
	@echo "make demo    build the bundled checkpoint and fill masks with its variants"
	@echo "             (CHECKPOINT=folder or CHECKPOINT=distilbert/distilroberta-base: another one)"
	@echo "make test    run the tests"
	@echo "make lint    check style, format and types"
	@echo "make bench   measure in short: the claim, our variants, pytest-benchmark; a report"
	@echo "make bench-peers      measure ours against PyTorch, optimum, OpenVINO and CTranslate2"
	@echo "make bench-runtime    measure: cold start, overhead, memory, many callers, many texts"
	@echo "             (CLASSIFIER=folder TEXTS=file: many texts with these, not random weights)"
	@echo "make results measure everything that results/ holds, and renew the documents' figures"
	@echo "make figures renew the documents' figures from results/"
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

# Short, and in a folder that git does not know; each command alone measures more.
bench: $(VENV)/.dev
	mkdir -p bench-results
	$(BIN)/distilroberta bench claim --tasks fill-mask --lengths 16,128 --batches 1,8 \
		--json bench-results/claim.json
	$(BIN)/distilroberta bench latency --variants fp32,int8 --rounds 5 \
		--json bench-results/latency.json
	$(BIN)/python -m pytest bench/suites/test_latency.py \
		--benchmark-only --benchmark-autosave
	$(BIN)/distilroberta bench report bench-results/claim.json bench-results/latency.json \
		-o bench-results/report.html

bench-runtime: $(VENV)/.dev
	$(BIN)/distilroberta bench cold-start
	$(BIN)/distilroberta bench overhead
	$(BIN)/distilroberta bench memory
	$(BIN)/distilroberta bench threads
	$(BIN)/distilroberta bench throughput \
		$(if $(CLASSIFIER),--checkpoint "$(CLASSIFIER)") $(if $(TEXTS),--texts "$(TEXTS)")

bench-peers: $(VENV)/.dev $(PEERS)/.made
	$(BIN)/distilroberta bench peers --peers $(PEERS)

# Takes two hours on two cores, which should do nothing else. See results/README.md.
results: $(VENV)/.dev $(PEERS)/.made
	$(BIN)/distilroberta bench claim --json results/claim.json
	$(BIN)/distilroberta bench claim --precision int8 --json results/claim-int8.json
	$(BIN)/distilroberta bench peers --peers $(PEERS) --json results/peers.json
	$(BIN)/distilroberta bench latency --json results/latency.json
	$(BIN)/distilroberta bench cold-start --json results/cold-start.json
	$(BIN)/distilroberta bench import --json results/import.json
	$(BIN)/distilroberta bench overhead --json results/overhead.json
	$(BIN)/distilroberta bench memory --json results/memory.json
	$(BIN)/distilroberta bench quantizing --json results/quantizing.json
	$(BIN)/distilroberta bench threads --json results/threads.json
	$(BIN)/distilroberta bench throughput --rounds 3 --batch-sizes 8,16,32 \
		--json results/throughput.json \
		$(if $(CLASSIFIER),--checkpoint "$(CLASSIFIER)") $(if $(TEXTS),--texts "$(TEXTS)")
	$(MAKE) figures

figures: $(VENV)/.dev
	$(BIN)/python -m distilroberta.bench.documents.figures_in_docs README.md docs/*.md

gpu: $(GPU)/.made
	DISTILROBERTA_GPU=required $(GPU)/bin/python -m pytest -m gpu tests/gpu
	$(GPU)/bin/distilroberta bench gpu

clean:
	rm -rf build dist bench-results $(VENV) $(PEERS) $(GPU) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
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
	$(BIN)/distilroberta bench peers-environment $(PEERS)
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
