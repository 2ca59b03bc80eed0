# `make` explains. Each target does the set-up it needs, and may be repeated.
.DEFAULT_GOAL := help
.PHONY: help setup serve test lint build labs browser soak lock clean

# Where it is set, each of hundreds of processes would compile its imports anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PORT ?= 8000
# Two workers: more would only share the same two servers.
PYTEST_ARGS ?= -n 2

help:  ## What there is
	@echo 'make serve    read the handbook: sets up, starts PostgreSQL and Kafka, prints the address'
	@echo 'make test     all checks: lint, labs on the real stack, site, tests (needs a Chromium)'
	@echo
	@echo 'make setup    the environment in .venv, from the hashed lock'
	@echo 'make lint     ruff, format, types, workflow'
	@echo 'make labs     run every lab and compare it with its stored output'
	@echo 'make build    the site, into site/'
	@echo 'make browser  find or install the Chromium that the tests drive'
	@echo 'make soak     the long fault and repeat runs'
	@echo 'make lock     compile requirements.txt from pyproject.toml again'
	@echo 'make clean    stop the servers; remove everything that was made here'
	@echo
	@echo 'PYTHON=/path/to/python make setup    with an interpreter of your choice'

setup:
	@./setup.sh

serve: setup
	@$(BIN)/handbook serve --port $(PORT)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	for file in tests/*/conftest.py; do MYPYPATH=tests $(BIN)/mypy $$file || exit 1; done
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows

labs: setup
	$(BIN)/handbook labs check

build: setup
	$(BIN)/handbook build

# The tests come last: the closing line of the whole run is pytest's.
test: setup browser
	$(MAKE) lint
	$(MAKE) labs
	$(MAKE) build
	$(BIN)/pytest -m 'not soak' $(PYTEST_ARGS)

soak: setup browser
	$(BIN)/pytest -m soak
	$(BIN)/handbook labs check --times 20

browser:
	@./browser.sh

# For the oldest Python, whichever compiles it: else its markers would leave that one out.
lock: setup
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --output-file requirements.txt

clean:
	@if [ -x $(BIN)/handbook ]; then $(BIN)/handbook wipe --yes; fi
	rm -rf .venv .venv-boot .venv-boot.part build site dist .stack \
		.mypy_cache .ruff_cache .pytest_cache msa_handbook.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
