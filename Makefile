SHELL := /bin/bash
PYTHON ?= python3
PIPELINES ?= pipelines/fraud.py:PIPELINE
BIN := .venv/bin
SPEC := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml cli/pyproject.toml)
PACKAGES := $(patsubst %/pyproject.toml,%,$(SPEC))
STAMP := .venv/.installed
UV := UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip

.PHONY: setup demo up down test verify verify-features check fmt bench bench-features verify-peers docs

setup: $(STAMP)

$(STAMP): requirements/tools.txt requirements/dev.txt $(SPEC)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/tools.txt
	$(UV) install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(UV) install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	$(BIN)/python -m millrace_engine
	touch $@

demo: setup
	$(BIN)/millrace demo

up: setup
	$(BIN)/millrace up $(PIPELINES)

down: setup
	$(BIN)/millrace down

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy libs/*/src services/*/src cli/src pipelines
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest tests/unit --numprocesses auto --maxprocesses 4 --dist worksteal
	$(BIN)/pytest tests/integration tests/e2e

verify: test
	$(BIN)/pytest tests --matrix=whole

verify-features: setup
	$(BIN)/pytest tests/unit/oracles tests/unit/matrix tests/integration/test_matrix.py tests/integration/test_electricity.py --matrix=whole

bench: setup
	$(BIN)/python -m benchmarks

PEERS := $(patsubst benchmarks/peers/%.txt,.bench/%/.installed,$(wildcard benchmarks/peers/*.txt))

bench-features: setup $(PEERS)
	$(BIN)/python -m millrace_engine
	$(BIN)/python -m benchmarks.features $(BENCH)

verify-peers: setup $(PEERS)
	$(BIN)/python -m millrace_engine
	$(BIN)/python -m benchmarks.correctness $(BENCH)

.bench/%/.installed: benchmarks/peers/%.txt | $(STAMP)
	$(PYTHON) -m venv --clear --without-pip .bench/$*
	$(UV) install --quiet --python .bench/$*/bin/python --require-hashes -r $<
	touch $@

docs: setup
	$(BIN)/millrace docs write docs/reference
