# make demo, make test: all a new machine needs is Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check docs clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tutelage needs Python 3.11 or newer, found $$($(PYTHON) --version); name another with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

demo: $(STAMP)
	$(BIN)/tutelage run rooms

test: $(STAMP)
	$(BIN)/pytest --numprocesses 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

docs: $(STAMP)
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv site .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
