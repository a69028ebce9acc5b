# The everyday commands; `make` alone lists them. What a command needs it installs first: into
# .venv and node_modules, once, remembered by stamp files, so that a second call is quick.

PYTHON ?= python3
# What pip installs for torch. Empty: the build that fits this machine (tools/torch_requirement.py).
TORCH ?=
# Further words for `jupyter lab`, for instance --no-browser on a remote machine.
LAB_ARGS ?=
# Further words for pytest, for instance -k graph.
PYTEST_ARGS ?=

BIN := .venv/bin
RUNTIME := .venv/.runtime-installed
DEVELOPMENT := .venv/.development-installed
NODE := node_modules/.installed
BUNDLE := interp_widgets/static/graph.js

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab test test-js test-python chromium check format bench wheel clean

help: ## list these commands
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(RUNTIME) $(BUNDLE) ## open the first demo in JupyterLab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS) demos/01_first_graph.ipynb

test: test-js test-python ## everything: TypeScript, Python, and a real browser on real servers

test-js: $(NODE)
	npm test

# One run, so that one closing line counts it all; of two workers the browser has one
# (tests/conftest.py).
test-python: $(DEVELOPMENT) $(BUNDLE) chromium
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

chromium:
	@tools/install-chromium.sh

check: $(DEVELOPMENT) $(NODE) ## formatting, lint and types, in both languages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	npm run typecheck
	npm run lint

format: $(DEVELOPMENT) ## let ruff mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEVELOPMENT) $(BUNDLE) chromium ## every script in benchmarks/, one after the other
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

wheel: $(DEVELOPMENT) $(BUNDLE) ## the source archive and the wheel, into dist/
	$(BIN)/python -m build

clean: ## remove what was built, keep what was downloaded
	rm -rf dist interp_widgets/static test-results .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f $(RUNTIME) $(DEVELOPMENT) $(NODE)

# JupyterLab starts a script of its own from inside .venv; the empty package.json keeps node from
# reading it as a module, which our own package.json would have it do.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "interp_widgets needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	@echo '{}' > .venv/package.json

# The front end is made by its own rule below, so pip's build hook has nothing to add.
$(RUNTIME): pyproject.toml | $(BIN)/python
	requirement="$(TORCH)"; \
	  $(BIN)/python -m pip install "$${requirement:-$$($(BIN)/python tools/torch_requirement.py)}"
	SKIP_JUPYTER_BUILDER=1 $(BIN)/python -m pip install -e .
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	SKIP_JUPYTER_BUILDER=1 $(BIN)/python -m pip install -e '.[test,dev]'
	@touch $@

# Not `npm ci`: it refuses a lock file that lacks the binaries of other platforms, and a mirror that
# does not carry those leaves them out of the lock. This takes the locked versions, too.
$(NODE): package.json package-lock.json
	@node -e 'process.exitCode = +(parseInt(process.versions.node) < 20)' || \
	  { echo "interp_widgets is built with Node 20 or newer"; exit 1; }
	npm install --no-save --no-audit --no-fund
	@touch $@

$(BUNDLE): $(NODE) tsconfig.json $(shell find js -type f 2>/dev/null) $(wildcard *.mjs)
	npm run build
	@touch $@
