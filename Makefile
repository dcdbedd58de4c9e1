SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run test lint types unit integration lock clean

setup: .venv/.installed node_modules/.installed  ## everything a fresh machine needs

.venv/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

node_modules/.installed: package-lock.json
	npm ci --loglevel=error
	touch $@

lock:  ## renew the lock files after a change of pyproject.toml or package.json
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	npm install --package-lock-only

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

unit: setup
	$(BIN)/pytest -m "not integration and not browser"

integration: setup
	$(BIN)/pytest -m "integration or browser"

test: lint types unit integration  ## what CI runs

clean:
	rm -rf .venv node_modules cdk.out .fornix
