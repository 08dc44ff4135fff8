# Needs Python 3.11 or newer, make and a network. `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# The first Python that is new enough; set PYTHON=/path/to/python to choose another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)

# Set by .ci/run: a test that is skipped fails the run there.
BACKUPS_NO_SKIPS ?=
PYTEST_ARGS ?=
# Processes that the suite runs in: one more than two cores, since much of it waits. A file's tests stay together,
# since servers are made once a process.
PYTEST_WORKERS ?= 3

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-dev run test check audit-dependencies format bench bench-pages lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */make \1\t/' | expand -t 20

install: $(VENV)/installed ## Install into .venv (skipped when up to date)

install-dev: $(VENV)/installed-dev ## Install what the tests and checks need as well

run: $(VENV)/installed ## Install, then start the dashboard and a worker at http://127.0.0.1:8501
	@exec $(BIN)/backups serve --open

test: $(VENV)/installed-dev ## Install, then run the whole suite
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --durations=15 $(if $(BACKUPS_NO_SKIPS),-p tests.support.no_skips) $(PYTEST_ARGS)

check: $(VENV)/installed-dev ## Lint, format, insecure code, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml services dashboard pages
	$(BIN)/mypy
	$(BIN)/lint-imports

# Not part of `check`: it asks PyPI's advisory service, which a machine without the internet or with a mirror does not
# reach. --strict: a package that could not be looked up is a failure, not a pass.
audit-dependencies: $(VENV)/installed-dev ## Look every locked package up among the known vulnerabilities (needs pypi.org itself)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock

format: $(VENV)/installed-dev ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev ## Compare with the same work done by hand
	$(BIN)/python -m bench

bench-pages: $(VENV)/installed-dev ## Measure every page on a catalogue of 100,000 backups, beside a blank page
	$(BIN)/python -m bench.pages

lock: ## Resolve the dependencies anew (the only target that needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --group build --group dev --constraint requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --quiet --output-file requirements-dev.lock

clean: ## Remove .venv and the tools' caches (never var/, which holds data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; install it, or run make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Each stamp is written last, so an installation that was interrupted is done again.
$(VENV)/installed: requirements.lock pyproject.toml $(VENV)/created
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@
