# Requires Python 3.11 or later with venv and pip, and GNU make. All else is installed from the pinned requirements.
PYTHON  ?= python3
VENV    ?= .venv
# Processes that share the tests: one more than there are cores, because many tests wait for other processes.
WORKERS ?= 3
# The slowest tests are named, so that one that waits for a time limit is seen.
SLOWEST := --durations 15 --durations-min 5
# What `make layer` runs: folders, files and options of pytest.
TESTS   ?= tests/domain
BIN     := $(VENV)/bin
RUN     := $(VENV)/.stamp-run
DEV     := $(VENV)/.stamp-dev
PIP     := $(BIN)/python -m pip install -qq --disable-pip-version-check

# The tests start hundreds of processes; without bytecode on disk each of them would compile the program anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-fleet test layer proofs check lint style screenshots bench soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo-fleet: $(RUN) ## three hosts on a PostgreSQL database (of the distribution), and a console over them: kill one
	@$(BIN)/python -m console demo --fleet

demo: $(RUN) ## open the console on the built-in simulator: no API key, no config, nothing is kept
	@$(BIN)/python -m console demo

# The types are checked beside the tests, which often wait; what is found stands at the end.
test: style ## run all checks and the tests that show that the program works (at most 4 minutes)
	@nice $(BIN)/mypy >$(VENV)/types.log 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(SLOWEST) -m 'not soak and not proofs'; tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.log; [ $$tests = 0 ] && [ $$types = 0 ]

layer: $(DEV) ## run the short tests of one part, such as TESTS=tests/store or TESTS="tests/ui -k history"
	$(BIN)/python -m pytest -q -m 'not soak and not proofs' $(TESTS)

proofs: $(DEV) ## run the tests of the guarantees: model, simulation, kills, races, faults, processes, planted bugs (at most 12 minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(SLOWEST) -m 'proofs and not soak'

check: lint ## check format, lint, types, layers and the rules of the code base
	$(BIN)/python -m pytest -q tests/test_house.py

lint: style
	$(BIN)/mypy

style: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

screenshots: $(DEV) ## take the pictures of the README from the real console
	$(BIN)/python screenshots/make.py

bench: $(DEV) ## measure what benchmarks/README.md reports
	@for script in benchmarks/[a-z]*.py; do \
	  echo "== $$script"; $(BIN)/python -m $$(echo "$${script%.py}" | tr / .) || exit 1; done

soak: $(DEV) ## run the long tests
	$(BIN)/python -m pytest -m soak

clean: ## remove the environment and all generated files
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find console tests benchmarks screenshots -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "nightdesk needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) -V 2>/dev/null || echo missing). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot create virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "creating $(VENV)" >&2
	@$(PYTHON) -m venv --clear $(VENV)

# A stamp is newer than the requirements it was made from, so nothing is installed twice.
$(RUN): requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing the requirements of the console" >&2
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	@echo "installing the requirements of the tests" >&2
	@$(PIP) --no-compile -r requirements-dev.txt # most of it is never imported
	@touch $@
