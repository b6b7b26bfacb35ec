# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/demo

.PHONY: demo test test-slow torture lint bench bench-quick clean

demo: .venv/installed
	$(BIN)/landscope demo --out $(OUT)

test: .venv/installed-test lint
	$(BIN)/python -m pytest --numprocesses auto

test-slow: .venv/installed-test
	$(BIN)/python -m pytest -m slow --durations=0

torture: .venv/installed-test
	$(BIN)/python -m torture.fuzz
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
