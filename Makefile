# Two commands set everything up on a machine with Python 3.11+ and make: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-all fuzz lint format bench cassettes screenshots lock audit wheel clean

$(STAMP): requirements.lock requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: set PYTHON=…") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP) ## All shipped targets from their cassettes, then a simulated bench over HTTP: no key, no network
	$(BIN)/harness check
	$(BIN)/harness bench --simulate --requests 8 --warmup 1

test: $(STAMP) ## The tests, without the sweeps that they take a sample of
	$(BIN)/python -m pytest -n auto

test-all: $(STAMP) ## Every test: each fault and each variant of every target, each benchmark's quick mode
	$(BIN)/python -m pytest -n auto -m ""

fuzz: $(STAMP) ## The loaders and reports under many more random inputs
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5000} $(BIN)/python -m pytest -n auto tests/hostile/test_fuzz.py

lint: $(STAMP) ## Linters, types, specs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/harness specs lint
	$(BIN)/harness cassettes lint

format: $(STAMP)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(STAMP) ## Every figure of the documentation, measured on this machine
	for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

cassettes: $(STAMP) ## Record the committed cassettes again, over HTTP from the simulator
	$(BIN)/python -m tests.record_cassettes

screenshots: $(STAMP) ## Make the example report again, and the pictures of it in the README
	$(BIN)/python -m tests.example_report

lock: ## Resolve the dependencies anew, for every supported Python
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet pyproject.toml --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet --group dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock

audit: $(STAMP) ## Known vulnerabilities of the locked packages, where an advisory service answers
	$(BIN)/python .ci/audit.py

wheel: $(STAMP)
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf $(VENV) dist
