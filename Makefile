# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/demo
# Compiled modules are kept: the tests start many processes.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-slow test-matrix torture lint bench bench-quick clean

demo: .venv/installed
	$(BIN)/landscope demo --out $(OUT)

# A worker that keeps to neighbouring tests sets up what they share once.
test: .venv/installed-test
	@start=$$(date +%s); \
	$(MAKE) --no-print-directory lint && \
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal; \
	status=$$?; seconds=$$(($$(date +%s) - start)); \
	echo "make test took $$((seconds / 60)) min $$((seconds % 60)) s"; \
	exit $$status

test-slow: .venv/installed-test
	$(BIN)/python -m torture.environments "slow tests"
	$(BIN)/python -m torture.page

torture: .venv/installed-test
	$(BIN)/python -m torture.kills
	$(BIN)/python -m torture.coverage
	$(BIN)/python -W ignore -m torture.models
	$(BIN)/python -m torture.fuzz
	$(BIN)/python -m torture.page

# Other kernels, threads and orders; other interpreters: MATRIX="--python PATH"
test-matrix: .venv/installed-test
	$(BIN)/python -m torture.environments $(MATRIX)
	$(BIN)/python -m torture.page

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed-bench
	$(BIN)/python -W ignore -m benchmarks.run

bench-quick: .venv/installed-bench
	$(BIN)/python -W ignore -m benchmarks.run --quick

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@ .venv/installed

.venv/installed-bench: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@ .venv/installed

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
