# `make` lists the targets. Each makes .venv from constraints.txt when it is missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin

# What `make check` and `make fix` compare with, to find the SQL that was changed.
BASE ?= HEAD

# Tests that need no server and build nothing but an empty warehouse.
CHECKED := tests/models/test_rules.py::test_every_rule_passes_its_unit_test tests/models/test_structure.py \
	tests/models/test_folders.py tests/test_imports.py tests/test_contract.py

# Both `make demo ONCE=1` and `make demo -- --once` end after the tables.
ifneq (,$(filter --once,$(MAKECMDGOALS)))
ONCE := 1
endif

.PHONY: help demo check test test-long test-slow test-spark test-macros lint fix docs pictures contract build serve wheel tracker bench clean --once

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Funnelhouse needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Only the data file of this package is used, so what its code needs stays out.
.venv/demo-data: .venv/installed
	$(BIN)/pip install --disable-pip-version-check --no-deps -c constraints.txt mta
	@touch $@

# The journeys are a package; the shop is made up by the demo itself.
demo: .venv/$(if $(filter journeys,$(DATA)),demo-data,installed) ## fill a running system with a made-up shop (DATA=journeys: with real journeys; ONCE=1: then end)
	$(BIN)/funnelhouse demo $(if $(DATA),--data $(DATA)) $(if $(ONCE),--once)

check: .venv/installed ## check what was changed since BASE: style, types, the models' unit tests; no server is started
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@changed=$$(git diff --name-only --diff-filter=d $(BASE) -- 'dbt_project/models/*.sql' 'dbt_project/tests/*.sql'); \
		[ -z "$$changed" ] || $(BIN)/sqlfluff lint --nocolor $$changed
	$(BIN)/pytest -n 2 --dist loadfile $(CHECKED)

# Files in the order of tests/longest_first.py, not by how many tests they have.
test: .venv/installed ## run the tests, all but the long and the slow ones
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: .venv/installed ## run the tests that take five seconds and more; `.ci/run` does
	$(BIN)/pytest -n 2 --dist worksteal -m long

test-slow: .venv/demo-data ## run these and the tests that take minutes
	$(BIN)/pytest -m '(slow or long) and not spark'

.venv/spark: .venv/installed
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[spark]'
	@touch $@

test-spark: .venv/spark ## run the tests of builds on Spark, half an hour (needs Java 17)
	$(BIN)/pytest -m spark

test-macros: .venv/spark ## run those of them that build no home: the macros of both engines, two minutes
	$(BIN)/pytest -m 'spark and not slow'

lint: .venv/installed ## check style and types of Python and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --nocolor dbt_project/models dbt_project/tests

fix: .venv/installed ## repair style: Python everywhere, SQL of changed models (since BASE, HEAD by default)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@changed=$$(git diff --name-only --diff-filter=d $(BASE) -- 'dbt_project/models/*.sql' 'dbt_project/tests/*.sql'); \
		[ -z "$$changed" ] || $(BIN)/sqlfluff fix --nocolor $$changed

docs: .venv/installed ## check what the documents say
	$(BIN)/pytest tests/test_documents.py tests/test_documented_names.py

pictures: .venv/installed ## take the documents' pictures again, of the running demo whose key is KEY
	$(BIN)/python tests/pictures.py $(or $(URL),http://127.0.0.1:8002) $(KEY)

contract: .venv/installed ## write dbt's files that say what record/contract.py says
	$(BIN)/python -m orchestration.contract_for_dbt

build: .venv/installed ## seal, build, check and publish once
	$(BIN)/funnelhouse build

serve: .venv/installed ## run everything: ingest, read, scheduler
	$(BIN)/funnelhouse up

# setuptools would put files that are gone from the checkout into the wheel, had it left them in build/.
wheel: .venv/installed ## make the wheel that `pip install` takes, in dist/
	rm -rf build dist
	$(BIN)/pip wheel --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build

# npm writes a lock file with the registry's address, which is nobody else's.
tracker: ## build the script that pages load, and print its size (needs Node 18 or newer)
	cd tracker && npm install --no-package-lock --no-audit --no-fund --silent && npm run --silent build

bench: .venv/installed ## measure ingest, as ratios within one run, and its memory under overload
	$(BIN)/python -m benchmarks.ingest --datasette
	$(BIN)/python -m benchmarks.overload

clean: ## remove the virtual environment and caches; data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build dist dbt_project/target dbt_project/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

--once:
	@:
