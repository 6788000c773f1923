# Everything a newcomer types. Each target sets up what it needs from nothing but Python 3.11+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test sweep bench lint lock clean

demo: $(READY)
	$(BIN)/tieout demo

test: $(READY)
	$(BIN)/pytest -m "not sweep"

# The long crash sweep: every call and every commit, on SQLite and, where TIEOUT_TEST_POSTGRES names one, PostgreSQL.
sweep: $(READY)
	$(BIN)/pytest -m sweep

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Resolve the newest versions inside the ranges of pyproject.toml; needs uv on the path.
lock:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --output-file requirements.lock

# Installed exactly as locked; the project itself is linked in, and built by what the lock file holds.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "tieout needs Python 3.11 or newer; set PYTHON="'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
