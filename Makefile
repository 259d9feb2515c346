# make drill: lose a region on this computer and see what survived.  make test: the tests.  make soak: the long loops.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ON_POSTGRES_15 := tests/postgres tests/operate/test_orphans.py tests/client tests/lab/test_postgres_fleet.py tests/lab/test_rds.py
# What is about names, deadlines and silence has nothing to do with the server's version.
NOT_ABOUT_POSTGRES := deadline or black_hole or name_server or ttl or told_wrongly or looks_first or rules_of or settings_that
# Tests of a lab mostly wait: three files at a time, each by itself and in order, the long ones first.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder
STAMP := $(VENV)/.installed-$(shell $(PYTHON) -c 'import platform, sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}-{platform.machine()}")' 2>/dev/null)

.PHONY: drill test soak setup lint lock clean

drill: setup
	@$(BIN)/farshore drill $(ARGS)

test: setup lint
	@$(BIN)/python -m pytest -m "not soak" $(SIDE_BY_SIDE) $(ARGS)
	@if [ -z "$(ARGS)" ] && [ -x /usr/lib/postgresql/15/bin/postgres ]; then \
	  echo "farshore: the guard and the servers again, on the installed PostgreSQL 15"; \
	  FARSHORE_TEST_POSTGRES=15 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not soak" -k "not ($(NOT_ABOUT_POSTGRES))" $(ON_POSTGRES_15); fi

soak: setup
	@$(BIN)/python -m pytest -m soak -s --timeout 3600 $(ARGS)

lint: setup
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml > .import_linter_cache.txt 2>&1 || { cat .import_linter_cache.txt; exit 1; }

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else f"farshore needs Python 3.11, 3.12 or 3.13, not {v[0]}.{v[1]}; name one: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "farshore: this Python has no venv. On Debian or Ubuntu: apt-get install -y make python3-venv" >&2; exit 2; }
	@echo "farshore: installing into $(VENV) (about a minute the first time)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Needs uv (pip install uv); the lock names no index.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra lab --extra dev --extra build \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis drill-report peers-report
