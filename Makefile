# Everything a developer runs. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NATIVE := $(VENV)/.native
CONFIG ?= config/local.yaml
CASES ?= 100000
SCHEDULES ?= 200

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: setup ## start the collector with the embedded ClickHouse (CONFIG=FILE for another configuration)
	@$(BIN)/otelingest --config $(CONFIG)

test: setup lint ## everything that must pass: lint, then all tests
	$(BIN)/pytest -n 2 --dist worksteal
	$(BIN)/pytest proto_tests --command "$(BIN)/python -m otelingest"

lint: setup ## ruff and mypy (strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY) $(NATIVE) ## make .venv from the pinned requirements; nothing to do when it is up to date

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Python 3.11 or newer is needed; name one with 'make PYTHON=python3.12 setup'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned requirements into $(VENV) (once; some 300 MB, most of it the embedded ClickHouse)"
	@# Resolved in full beforehand, so pip resolves nothing: what was tested is what is installed.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# Where PYTHONDONTWRITEBYTECODE is set, every start would compile everything anew.
	@$(BIN)/python -m compileall -q otelingest
	@touch $@

build: $(NATIVE) ## compile the codec's fast implementation (needs a C++17 compiler; without it the readable one runs)

$(NATIVE): $(READY) setup.py $(wildcard otelingest/codec/*.pyx otelingest/codec/*.pxi otelingest/codec/native/*.hpp)
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@if ls otelingest/codec/_native*.so otelingest/codec/_editing*.so >/dev/null 2>&1; then touch $@; else \
	    echo "the codec's fast implementation was not compiled (see above): the readable one runs, some 30 times slower" >&2; fi

# PEERS="go=PATH rotel=PATH" names peers that are not in the PATH; BENCH=--quick and more are in bench/README.md.
bench: setup ## measure what a span costs, beside other collectors (bench/README.md)
	@$(BIN)/python -m bench.compare $(PEERS:%=--peer %) $(BENCH)

# The parity tests over many requests, with every step of the native code watched.
sanitize: setup ## run the codec's parity and hostile-input tests under AddressSanitizer and UBSan (CASES=100000)
	OTELINGEST_SANITIZE=1 $(BIN)/python setup.py --quiet build_ext --build-lib build/sanitize --build-temp build/sanitize/temp
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
	    OTELINGEST_NATIVE="$$(echo build/sanitize/otelingest/codec/_native.*.so)" PARITY_CASES=$(CASES) \
	    $(BIN)/pytest tests/codec/test_parity.py tests/codec/test_json_parity.py tests/codec/test_editing_parity.py

# Recordings of the Go collector, each with a runner that ends in `N passed, N failed`. The tests hold copies of what
# they need; these targets run the whole of it where it is at hand.
RECORDINGS ?= ../shared
OURS := --command "$(CURDIR)/$(BIN)/python -m otelingest"

check-golden: setup ## compare rows in ClickHouse with the recorded ones, over HTTP and over TCP
	$(BIN)/python -m tests.support.check_golden $(RECORDINGS)/golden/check.py

check-probes: setup ## compare the receiver's answers with the recorded ones
	$(BIN)/python $(RECORDINGS)/probes/probe.py $(OURS)

check-verdicts: setup ## compare verdicts on configurations with the recorded ones
	$(BIN)/python $(RECORDINGS)/verdicts/check.py $(OURS) $(RECORDINGS)/verdicts

check-peer: setup ## run beside and behind a Go collector (OTELCOL=PATH)
	OTELCOL=$(OTELCOL) $(BIN)/pytest -q -n 0 tests/end_to_end/test_go_collector.py

check-processors: setup ## compare what processors make of data with what was recorded
	$(BIN)/python $(RECORDINGS)/processors/check.py $(OURS)

check-delivery: setup ## let random schedules of faults happen, and count what is lost or doubled (SCHEDULES=200, SEED=N)
	$(BIN)/python -m tests.delivery --schedules $(SCHEDULES) $(if $(SEED),--seed $(SEED))

docs: setup ## write docs/components from the settings classes
	$(BIN)/python -m otelingest.documentation

lock: setup ## compile requirements.txt anew from pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# chdb needs none of these for what the embedded ClickHouse does, and they are 150 MB.
	$(BIN)/uv pip compile pyproject.toml --extra embedded --extra dev --universal --python-version 3.11 --upgrade --generate-hashes \
	    --no-header --no-emit-index-url --no-emit-find-links \
	    --no-emit-package numpy --no-emit-package pandas --no-emit-package pyarrow --quiet --output-file requirements.txt

clean: ## remove what was built, but neither .venv nor data
	rm -rf build dist *.egg-info otelingest/codec/*.so $(NATIVE) .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help run test lint format setup build bench sanitize check-golden check-probes check-verdicts check-processors check-delivery docs lock clean
.DEFAULT_GOAL := help
