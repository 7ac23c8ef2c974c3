# Needs Python 3.11 or later with venv and pip, and GNU make. Everything else comes from the pinned requirements.
PYTHON  ?= python3
VENV    ?= .venv
# Processes that share the tests. With more than one per core, tests of deadlines wait for each other.
WORKERS ?= 2
BIN     := $(VENV)/bin
RUN     := $(VENV)/.stamp-run
DEV     := $(VENV)/.stamp-dev
PIP     := $(BIN)/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test proofs check lint screenshots bench soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(RUN) ## the console on the built-in simulator: no key, no config, nothing kept
	@$(BIN)/python -m console demo

test: lint ## every check, then the tests that show that the program works: at most 4 minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not soak and not proofs'

proofs: $(DEV) ## the tests that show the guarantees: model, simulation, kills, races, faults, planted bugs
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'proofs and not soak'

check: lint ## format, lint, types, floors and the rules of the house
	$(BIN)/python -m pytest -q tests/test_house.py

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

screenshots: $(DEV) ## the pictures of the README, exported from the real app
	$(BIN)/python screenshots/make.py

bench: $(DEV) ## what benchmarks/README.md quotes
	@for script in benchmarks/[a-z]*.py; do \
	  echo "== $$script"; $(BIN)/python -m $$(echo "$${script%.py}" | tr / .) || exit 1; done

soak: $(DEV) ## the long tests: crash points, floods, hours of clock
	$(BIN)/python -m pytest -m soak

clean: ## the environment and everything made
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find console tests benchmarks screenshots -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "nightdesk needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) -V 2>/dev/null || echo missing). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv --clear $(VENV)

# The stamps are newer than the pins they were made from, so nothing is installed twice.
$(RUN): requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing what the console runs on" >&2
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	@echo "installing what the tests need" >&2
	@$(PIP) -r requirements-dev.txt
	@touch $@
