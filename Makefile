# Everything a developer runs. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CONFIG ?= config/local.yaml

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: setup ## start the collector with the embedded ClickHouse (CONFIG=FILE for another configuration)
	@$(BIN)/otelingest --config $(CONFIG)

test: setup lint ## everything that must pass: lint, then all tests
	$(BIN)/pytest -n 2 --dist worksteal

lint: setup ## ruff and mypy (strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY) ## make .venv from the pinned requirements; nothing to do when it is up to date

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed; name one with 'make PYTHON=python3.12 setup'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned requirements into $(VENV) (once; some 300 MB, most of it the embedded ClickHouse)"
	@# Resolved in full beforehand, so pip resolves nothing: what was tested is what is installed.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: setup ## compile requirements.txt anew from pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# chdb needs none of these for what the embedded ClickHouse does, and they are 150 MB.
	$(BIN)/uv pip compile pyproject.toml --extra embedded --extra dev --universal --python-version 3.11 --upgrade --generate-hashes \
	    --no-header --no-emit-index-url --no-emit-find-links \
	    --no-emit-package numpy --no-emit-package pandas --no-emit-package pyarrow --quiet --output-file requirements.txt

clean: ## remove what was built, but neither .venv nor data
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help run test lint format setup lock clean
.DEFAULT_GOAL := help
