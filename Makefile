# `make help` lists the commands. Each works on a fresh machine: what it needs is installed into .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Two processes with one thread each; the tests of a file share fixtures, so they stay together.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: help demo check fast test all lint types docs bench clean

help:  ## List the commands.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/demo .venv/dev: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[$(@F)]'
	touch $@

demo: .venv/demo  ## Train ListNet on a synthetic corpus, test it, print the table and draw the figure (three minutes).
	$(BIN)/python train.py fit --config demo_listnet.yaml --model.cache_frozen true --run.overwrite true

check: .venv/dev  ## Style, types, spelling and the fast tests, two at a time.
	$(MAKE) --no-print-directory --jobs 2 lint types fast

fast: .venv/dev  ## The fast tests.
	$(PYTEST) -m 'not slow'

test: .venv/dev  ## Style, types, spelling and all tests; types beside the tests, since mypy uses one core.
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory --jobs 2 types all

all: .venv/dev
	$(PYTEST)

lint: .venv/dev  ## Style and spelling.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: .venv/dev  ## Types, of the tests as well.
	$(BIN)/mypy

docs: .venv/dev  ## The documentation site with the API reference, in site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/dev  ## How fast it is, beside other software; benchmarks/RESULTS.md has the earlier tables.
	for name in metrics ranking expert_ranking targets embedding loading training_loop two_ranks step paired_tests; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; \
	done

clean:  ## Delete .venv, the site and what a build leaves.
	rm -rf .venv *.egg-info build site
