# Regulars: every command of the house. `make` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
REGULARS := $(BIN)/regulars
PYTEST := $(BIN)/python -m pytest
# A file's tests stay in one process: they share what is costly to set up. The longest files come
# first (tests/conftest.py), not those of the most tests.
TOGETHER := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# PROFILE=name: the shops of config/profiles/name.yml, with data and Airflow of their own.
ifdef PROFILE
export REGULARS_SHOPS_FILE := $(CURDIR)/config/profiles/$(PROFILE).yml
export REGULARS_DATA_DIR := $(CURDIR)/data/profiles/$(PROFILE)
export AIRFLOW_HOME := $(CURDIR)/.airflow/profiles/$(PROFILE)
endif

# Containers set it; without bytecode every Airflow process starts four times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help bootstrap nightly ui test test-fast test-faults lint format docs lock bench-demo \
	bench-extract bench-members clean clean-demo

help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } \
		/^# --- / { sub(/^# --- /, ""); printf "\n%s\n", $$0 } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 } \
		/^\t*## / { sub(/^\t*## /, ""); printf "  %-17s %s\n", "", $$0 }' Makefile
	@printf '\nPeople who run a shop also have %s (--help).\n' '$(BIN)/regulars'

# --- Run
bootstrap: ## Install everything into .venv and write .env; quick when nothing changed
	@PYTHON='$(PYTHON)' scripts/bootstrap.sh
## PYTHON=/path/to/python3.12 chooses the Python (3.11 or 3.12)

nightly: bootstrap ## Run the next night: extract, build, decide, export
	@$(REGULARS) nightly $(if $(DATE),--date '$(DATE)') $(if $(NIGHTS),--nights '$(NIGHTS)') $(ARGS)
## DATE=2017-10-04 runs that night, or the last one again; NIGHTS=3 runs three in a row
## PROFILE=all-platforms runs the shops of config/profiles/all-platforms.yml

ui: bootstrap ## Start Airflow and the sandbox shop; Ctrl-C stops both
	@$(REGULARS) ui $(ARGS)

# --- Check
test: lint ## Lint and every test but the fault tests (under 12 minutes)
	@$(PYTEST) $(TOGETHER) -m 'not faults' $(ARGS)

test-fast: bootstrap ## ruff and the quick tests: no Airflow, nothing slow (under 2 minutes)
	@$(BIN)/ruff check --quiet .
	@$(PYTEST) $(TOGETHER) -m 'not slow and not airflow and not faults' $(ARGS)

test-faults: bootstrap ## Kill, break, correct, erase and search whole nights (most of an hour)
	@$(PYTEST) -m faults $(ARGS)

lint: bootstrap ## ruff, mypy, sqlfluff, and whether the SQL is portable
	@scripts/lint.sh

format: bootstrap ## Let ruff and sqlfluff rewrite what they can
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/python scripts/lint_sql.py fix

bench-demo: bootstrap ## Measure the demo's nights, medians of three, into docs/performance.md
	@$(BIN)/python scripts/bench_demo.py $(ARGS)

bench-members: bootstrap ## Measure the members' models on large order books, into docs/performance.md
	@$(BIN)/python scripts/bench_members.py $(if $(SCALE),--scale '$(SCALE)') $(ARGS)
## SCALE=1m, 10m or 50m orders; ARGS='--rounds 1 --work DIR' measures once and keeps the order book

bench-extract: bootstrap ## Measure extraction and raw loads, medians of three, into docs/performance.md
	@$(BIN)/python scripts/bench_extract.py $(ARGS)

# --- Maintain
docs: bootstrap ## Write the generated pages of docs/reference anew
	@$(BIN)/python scripts/write_settings_reference.py
	@$(BIN)/python scripts/write_metrics_reference.py
	@$(BIN)/python -m regulars.sources.file.reference

lock: bootstrap ## Resolve pyproject.toml into requirements.lock (ARGS=--upgrade moves versions)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --extra dev pyproject.toml --output-file requirements.lock $(ARGS)

clean: ## Remove caches and build products; .venv, .env, .airflow and data stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs
	@find . -path ./.venv -prune -o -path ./data -prune -o -type d -name __pycache__ -print0 \
		| xargs -0 rm -rf

clean-demo: ## Start the demo over: remove data and .airflow (CONFIRM=yes; refused for real shops)
	@scripts/clean_demo.sh '$(CONFIRM)'
