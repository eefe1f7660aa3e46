# Everything a developer does here. `make` alone explains itself.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV = $(or $(shell command -v uv),$(wildcard $(BIN)/uv))
SOURCES := main.py agent api bench cloudpilot integrations prompts simulator tests tools
EXPORT = export --quiet --locked --no-emit-project --format requirements.txt
IMAGE ?= cloudpilot:latest

.DEFAULT_GOAL := help
.PHONY: help install run demo test e2e coverage check lint types arch format golden docs bench \
	image wheel lock controlplane clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv with everything in it, once

# The lock names every version and hash, so nothing is resolved here and any pip will do.
$(STAMP): requirements.lock
	@test -n "$(PYTHON)" || { echo "CloudPilot needs Python 3.11 or newer" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time takes some minutes"
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r $<; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--require-hashes --no-deps -r $<; \
	fi
	@touch $@

run: install ## Serve, with config.yaml if there is one; PORT=8000
	@exec $(BIN)/python main.py $(if $(PORT),--port $(PORT))

demo: install ## Serve with the simulated cluster and print what to ask; PORT=8000
	@exec $(BIN)/python main.py --demo $(if $(PORT),--port $(PORT))

test: install ## Run every test that this machine can run
	@$(BIN)/python -m pytest -rs -n 4 --dist loadgroup $(ARGS)

e2e: install controlplane ## Build the control plane and run only the tests on it
	@$(BIN)/python -m pytest -rs tests/e2e $(ARGS)

coverage: install ## Run the tests and show which lines they missed
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage report --skip-covered --show-missing

check: lint types arch ## Lint, types and import contracts

lint: install ## Style, likely bugs, formatting and spelling
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/codespell

types: install ## Types, strictly
	@$(BIN)/mypy

arch: install ## Who may import whom
	@$(BIN)/lint-imports --config .importlinter

format: install ## Format, and repair what can be repaired
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

golden: install ## Write the golden catalog anew; its diff is the review
	@$(BIN)/python -m tests.contracts.reference golden

docs: install ## Write docs/operations.md and config.example.yaml anew
	@$(BIN)/python -m tests.contracts.reference docs

bench: install controlplane ## Measure on 1,000 nodes and 10,000 pods of the real control plane
	@$(BIN)/python -m bench $(ARGS)

image: ## Build the container image; IMAGE=cloudpilot:latest
	docker build --tag $(IMAGE) .

wheel: install ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

lock: ## Resolve the dependencies anew (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@$(UV) lock --quiet $(if $(UPGRADE),--upgrade)
	@$(UV) $(EXPORT) --all-groups --output-file requirements.lock
	@$(UV) $(EXPORT) --no-dev --output-file requirements-runtime.lock

controlplane: install ## Build etcd, kube-apiserver and the rest for the tests (needs Go)
	@$(BIN)/python -m tests.controlplane.build

clean: ## Remove what was built; .venv and databases stay
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
