# matinee: every target does its own set-up, needs no root, and is quick the second time.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The newest Python from 3.11 on that is on the PATH; PYTHON=/path/to/python chooses another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

VENV := .venv
RUN := $(VENV)/bin/python
# Waiting for a slow network is better than failing; asking about new pip versions is neither.
PIP := $(RUN) -m pip --quiet --disable-pip-version-check

.PHONY: help install run test test-heavy lint models easter bench bench-quick lock clean

help: ## Show this list
	@echo "matinee: serves a text classifier straight from a model registry"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUN):
	@test -n "$(PYTHON)" || { echo "matinee needs Python 3.11 or newer, and none was found: install one, or set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "matinee needs Python 3.11 or newer, and $(PYTHON) is not: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Making the environment in $(VENV) …"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(RUN)
	@echo "Installing matinee …"
	@$(PIP) install --no-deps --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@$(PIP) uninstall --yes setuptools 2>/dev/null || true
	@touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.run
	@echo "Installing what the tests need …"
	@$(PIP) install --require-hashes -r requirements-test.lock
	@touch $@

install: $(VENV)/.run ## Make the environment of `make run`

run: $(VENV)/.run ## Serve the bundled model at http://localhost:8080
	@$(RUN) -m matinee serve

test: $(VENV)/.test lint-code ## Check the code and run the tests
	@$(RUN) -m coverage erase
	@$(RUN) -m coverage run -m pytest
	@$(RUN) -m coverage combine --quiet
	@$(RUN) -m coverage report

.PHONY: lint-code
lint-code: $(VENV)/.test
	@$(RUN) -m ruff check --quiet src tests benchmarks deploy
	@$(RUN) -m ruff format --check --quiet src tests benchmarks deploy
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo 2>/dev/null || $(VENV)/bin/lint-imports

test-heavy: ## Tests against torch, TensorFlow and other heavy stacks, in an environment of their own
	@sh tests/heavy/run.sh "$(PYTHON)"

lint: lint-code lint-pipelines ## Every static check: code, pipelines, manifests

models: $(VENV)/.run ## Retrain the bundled models (DATA=… names the data, see docs/how-to/train.md)
	@sh src/matinee/train/retrain.sh "$(PYTHON)" "$(DATA)"

easter: $(VENV)/.run ## Take a seat
	@$(RUN) -m matinee easter

bench: ## Every figure of the README, against the peers (about 20 minutes)
	@sh benchmarks/run.sh "$(PYTHON)"

bench-quick: ## The same in three minutes, with fewer rounds
	@sh benchmarks/run.sh "$(PYTHON)" --quick

lock: $(VENV)/.run ## Resolve the dependencies again and write the lock files
	@$(PIP) install uv
	@$(RUN) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --override requirements.override -o requirements.lock
	@$(RUN) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group test -c requirements.lock -o requirements-test.lock

clean: ## Remove environments, caches and builds
	rm -rf $(VENV) .venv-* build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

-include deploy/deploy.mk
