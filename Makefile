PYTHON ?= python3
VENV ?= .venv
BACKENDS ?= tensorflow jax torch
# Tests of so many backends run at once; above 1, their output appears when each has ended.
JOBS ?= 1
# Further arguments of pytest or of the benchmarks.
ARGS ?=
# Requirements beside those of the package, as `make oldest` has them.
PINS ?=

OLDEST_KERAS := $(shell sed -n 's/.*"keras>=\([0-9.]*\)".*/keras==\1/p' pyproject.toml)
RUN := $(VENV)/bin/python
# Twice quiet leaves errors only.
INSTALL := $(RUN) -m pip install -qq --disable-pip-version-check
RESULTS := $(VENV)/results

export TF_CPP_MIN_LOG_LEVEL = 3

# The tests of a backend in two parts, as `pytest --help` tells of --xla. The first leaves its fifty
# digits to the full parts of the other backends.
FIRST := $(lastword $(BACKENDS))
PARTS := test-$(FIRST)-full $(BACKENDS:%=test-%-quick) \
	$(patsubst %,test-%-full,$(filter-out $(FIRST),$(BACKENDS)))

.PHONY: help demo test quick check try bench nightly exports golden pictures oldest $(PARTS)

help: ## list the targets
	@echo "Targets, after 'make':"
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r target what; do \
		printf '  %-8s %s\n' "$$target" "$$what"; done

demo: $(VENV)/test.stamp ## train a model, then load it on every backend (about a minute)
	@echo "Running examples/quickstart.py"
	@$(RUN) examples/quickstart.py

test: $(VENV)/test.stamp ## run all tests on TensorFlow, JAX and PyTorch
	@rm -f $(RESULTS)
	@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) \
		$(if $(filter-out 1,$(JOBS)),--output-sync=target) $(PARTS); status=$$?; \
		echo "Tests:$$(paste -s -d, $(RESULTS))"; exit $$status

$(PARTS): test-%: $(VENV)/test.stamp
	@echo "======== Tests on $(subst -, with --xla=,$*) ========"
	@if KERAS_BACKEND=$(firstword $(subst -, ,$*)) $(RUN) -m pytest --xla=$(lastword $(subst -, ,$*)) \
		$(ARGS); \
		then echo " $* passed" >>$(RESULTS); \
		else echo " $* FAILED" >>$(RESULTS); exit 1; fi

quick: $(VENV)/test.stamp ## run the fast tests on PyTorch only (under a minute)
	@KERAS_BACKEND=torch $(RUN) -m pytest --xla=quick -m "not slow and not nightly" $(ARGS)

check: $(VENV)/check.stamp ## check format, lint and types
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/pyright --pythonpath $(RUN)
	@$(VENV)/bin/pyright --pythonpath $(RUN) --project tests/user_code.json

try: $(VENV)/test.stamp ## all checks of one object on all backends: make try NAME=Huber
	@$(if $(NAME),,$(error name the object, as in: make try NAME=Huber))
	@status=0; for backend in $(BACKENDS); do \
		echo "======== $(NAME) on $$backend ========"; \
		KERAS_BACKEND=$$backend $(RUN) -m keras_actloss.testing '$(NAME)' || status=1; \
	done; exit $$status

bench: $(VENV)/test.stamp ## measure speed and accuracy beside other packages
	@$(RUN) benchmarks/run.py $(ARGS)

pictures: $(VENV)/test.stamp ## draw the pictures of the README
	@KERAS_BACKEND=jax $(RUN) docs/pictures.py

exports: $(VENV)/test.stamp ## export every activation to every format (ten minutes)
	@$(RUN) tests/exports.py $(ARGS)

nightly: ## run what takes too long for each change, random inputs many times as many
	@HYPOTHESIS_PROFILE=nightly $(MAKE) --no-print-directory test \
		ARGS="-m 'hypothesis or nightly' $(ARGS)"

golden: $(VENV)/test.stamp ## write the files of this release that later ones must load
	@for backend in $(BACKENDS); do KERAS_BACKEND=$$backend $(RUN) tests/golden.py || exit 1; done

oldest: ## run all tests with the oldest Keras that pyproject.toml allows
	@$(MAKE) --no-print-directory test VENV=.venv-oldest PINS=$(OLDEST_KERAS)

$(VENV)/bin/python:
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/%.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the package with what [$*] needs into $(VENV) (minutes, the first time)"
	@$(INSTALL) -e ".[$*]" $(PINS)
	@touch $@

$(VENV)/check.stamp: $(VENV)/test.stamp
