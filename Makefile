# Everything a developer or a curious stranger does here, by name. `make` alone lists it.

VENV := .venv
BIN := $(VENV)/bin
MINIMUM := 3.11
# Each worker has servers of its own.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 8 ? n : 8)))

# The newest Python that really runs (a version manager's shim may not) and can make an environment.
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& command -v "$$name" && break; done)

# Twice quiet: what stays are errors.
INSTALL := $(BIN)/pip install --quiet --quiet --disable-pip-version-check
LOCK := uv pip compile --quiet --universal --python-version $(MINIMUM) --generate-hashes \
	--no-emit-index-url --no-header pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench bench-quick bench-growth chaos soak lint format image lock schema messages clean servers

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Watch a small campus deliver its events; ARGS="--for 20" ends it after 20 seconds
	@$(BIN)/mih demo $(ARGS)

test: $(VENV)/.dev servers lint ## Bring the servers, check the code, run all tests; ARGS="tests/unit" for some
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

bench: $(VENV)/.dev servers ## Measure everything against its peers; ARGS="--only tail,dispatch --json FILE" for some of it
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: override ARGS += --quick
bench-quick: bench ## The same in three minutes, roughly

bench-growth: override ARGS += --only growth-whole
bench-growth: bench ## How rate and memory change up to 10 million rows; half an hour

chaos: $(VENV)/.dev servers ## Harm sidecars, databases and receivers, count what is lost; SEED=7 repeats a run
	@$(BIN)/python -m tests.chaos $(ARGS)

soak: $(VENV)/.dev servers ## Run one sidecar at a steady rate: does anything grow? ARGS="--minutes 60 --rate 20"
	@$(BIN)/python -m tests.chaos.soak $(ARGS)

lint: $(VENV)/.dev ## Check style, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## Rewrite the code in the house's style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

image: $(VENV)/.run ## Build the container image, run it and check it
	scripts/image-test

lock: $(VENV)/.dev $(BIN)/uv ## Write the locked dependencies anew; ARGS=--upgrade for newer ones
	$(BIN)/$(LOCK) $(ARGS) --output-file requirements.lock
	$(BIN)/$(LOCK) $(ARGS) --extra dev --output-file requirements-dev.lock

schema: $(VENV)/.dev ## Write the generated files: config/sidecar.schema.json and sql/schema/
	$(BIN)/python scripts/write-schemas

messages: $(VENV)/.dev ## Collect the texts of the dashboard into its catalogues
	$(BIN)/python scripts/messages

clean: ## Remove the environment and everything made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

servers:
	@scripts/bring-servers mariadb postgresql rabbitmq chromium

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "make: no Python $(MINIMUM) or newer with venv was found on the PATH." \
		"Install one (on Debian: apt-get install python3-venv) or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

$(BIN)/uv: | $(BIN)/pip
	$(INSTALL) uv

$(VENV)/.run: requirements.lock $(VENV)/.project
	@echo "Installing what the sidecar needs into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.project
	@echo "Installing what its tests need into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.project: pyproject.toml | $(BIN)/pip
	@$(INSTALL) --no-deps --editable .
	@touch $@
