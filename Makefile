# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

.venv/demo: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $@

.venv/dev: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

demo: .venv/demo  ## Train ListNet on the synthetic corpus, test it, print the table and draw the figure.
	$(BIN)/python train.py fit --config demo_listnet.yaml --run.overwrite true

test: .venv/dev lint  ## Style, types, tests.
	$(BIN)/python -m pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev  ## What is fast, beside its peers; benchmarks/RESULTS.md holds former tables.
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/ranking.py
	$(BIN)/python benchmarks/targets.py
	$(BIN)/python benchmarks/embedding.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/training_loop.py
	$(BIN)/python benchmarks/two_ranks.py
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/paired_tests.py

clean:
	rm -rf .venv *.egg-info
