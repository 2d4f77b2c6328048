# Two commands for a newcomer: `make demo` and `make test`. Each does its own set-up in .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# The caller's Python settings must not leak in, nor this folder onto sys.path.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
# Nor options that would choose tests.
unexport PYTEST_ADDOPTS LIT_OPTS LIT_FILTER LIT_FILTER_OUT LIT_XFAIL
export PYTHONSAFEPATH := 1

BIN := .venv/bin
# iree-compile uses much memory and all cores: at most two tests at once.
PYTEST := $(BIN)/pytest --numprocesses=2 --dist=worksteal --durations=10

.PHONY: help setup demo test test-fast models nightly arm64 arm64-setup bench-setup bench-report lint fmt type lit unit e2e docs dev clean distclean

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup:
	@scripts/setup.sh

demo: setup ## compile real models, run them on the CPU and on Vulkan, compare with eager
	@$(BIN)/python -m smartmem.benchmarks.demo

test: lint lit unit e2e ## what needs no GPU (20 minutes at most on 2 cores)

test-fast: setup ## lit and unit tests (2 minutes at most)
	$(BIN)/lit --succinct tests/lit
	$(PYTEST) -m 'not slow and not nightly' tests/unit

models: setup ## every model of the suite, tiny, against eager (CI runs it after the tests)
	$(PYTEST) -m suite tests/e2e

nightly: setup arm64-setup ## what takes too long for every change
	$(PYTEST) -m nightly tests

arm64: setup arm64-setup ## our program and IREE's on an emulated aarch64 (Debian, as root)
	$(PYTEST) -m arm64 tests/e2e/test_arm64.py

arm64-setup:
	@scripts/setup_arm64.sh

bench-setup: setup ## peers of `smartmem bench` that `make setup` leaves out
	$(BIN)/python -m pip install --quiet $$($(BIN)/python scripts/requirements.py bench)

bench-report: setup ## docs/performance.md from benchmarks/results
	@$(BIN)/python -m smartmem.benchmarks.bench.report

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: setup ## ruff: mend and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: setup ## pyright
	$(BIN)/python scripts/typing_links.py
	$(BIN)/pyright

lit: setup ## the .mlir tests
	$(BIN)/lit --succinct tests/lit

unit: setup ## the unit tests
	$(PYTEST) -m 'not nightly' tests/unit

e2e: setup ## models from end to end, against eager
	$(PYTEST) -m 'not nightly and not suite' tests/e2e

docs: setup ## the pages made of recorded results
	$(BIN)/python -m smartmem.benchmarks.operators.page docs/operators.md
	$(BIN)/python -m smartmem.benchmarks.kernels
	$(BIN)/python -m smartmem.benchmarks.executor benchmarks/results/executor-llvmpipe.json --render
	$(BIN)/python -m smartmem.benchmarks.latency benchmarks/results/latency-llvmpipe.json --render
	$(BIN)/python -m smartmem.benchmarks.streaming benchmarks/results/streaming-two-cores.json --render
	$(BIN)/python -m smartmem.benchmarks.driving benchmarks/results/driving-two-cores.json --render
	$(BIN)/python -m smartmem.benchmarks.layouts page

dev: setup ## what editors and the type checker need
	$(BIN)/python scripts/typing_links.py

clean: ## what make and the tests left, but not .venv
	rm -rf .typing out build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## .venv too
	rm -rf .venv
