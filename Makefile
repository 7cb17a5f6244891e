# Everything that is done with this repository; `make` alone lists it.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; exit; }; done; echo python3)
BIN := .venv/bin
PEERS ?= .venv-bench/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run test check lint types bench bench-core openapi clean test-containers

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.installed ## fit a mixture to the Old Faithful geyser and serve it through every verb
	@$(BIN)/python examples/demo.py $(ARGS)

run: .venv/.installed ## the service in the foreground, on 127.0.0.1:8000 (ARGS="--port 9000")
	@$(BIN)/mixtura serve $(ARGS)

test: .venv/.installed ## the whole test suite (ARGS="-k client -x")
	@$(BIN)/pytest -m "not containers" $(ARGS)

check: lint types test ## exactly what CI runs

lint: .venv/.installed ## style, format, and which module may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

types: .venv/.installed ## mypy, strict
	@$(BIN)/mypy

bench: .venv/.installed bench-core ## measure every figure that the documentation claims
	@$(BIN)/python benchmarks/fits.py

bench-core: $(dir $(PEERS)).installed ## the numerical core beside its peers (ARGS="--quick", "--only Lloyd", "--json FILE")
	@$(PEERS)/python -m benchmarks.core $(ARGS)

openapi: .venv/.installed ## write docs/openapi.json
	@$(BIN)/python -m app.openapi

test-containers: .venv/.installed ## build the images and test them (needs Docker)
	@$(BIN)/pytest -m containers tests/containers $(ARGS)

clean: ## remove the environment and what tools leave behind; data stays
	@rm -rf .venv .venv-bench benchmarks/out build dist demo-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find core app tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The environment: made from the lock file, made again when that or the project's metadata changes.
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Mixtura needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing Mixtura and its dependencies into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The peers of the benchmarks: an environment of their own, since some are large.
.venv-bench/.installed: benchmarks/requirements.txt
	@echo "Installing the peers into .venv-bench ..."
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -qq --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
