# Thin names over workbench/install.py, the command line and pytest. `make demo` and `make test` are the two to know.
PYTHON ?= python3
# The active conda environment, if there is one other than base; else a virtual environment in the checkout.
ENV ?= $(if $(and $(CONDA_PREFIX),$(filter-out base,$(CONDA_DEFAULT_ENV))),$(CONDA_PREFIX),.venv)
BUNDLE ?=
# models that `make bundle` takes along, such as MODELS="qwen-coder-0.5b qwen-coder-1.5b"
MODELS ?=
PY := $(ENV)/bin/python
INSTALL = $(PYTHON) workbench/install.py
# two workers; a group of tests (tests/conftest.py) stays in one of them, the longest group first
SHARED_OUT = -n 2 --dist loadgroup --no-loadscope-reorder
# more for pytest, such as PYTEST="--cpu=cpu.json" for CPU minutes by kind
PYTEST ?=
# pytest keeps what it makes of the tests' asserts only where bytecode is written; else each process makes it anew
RUN_PYTEST = env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest $(SHARED_OUT)
override BUNDLE_OPTION = $(if $(BUNDLE),--bundle $(BUNDLE))

.PHONY: help setup demo test test-all test-release lab bench lint bundle gemma extras pins
help:            ## this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup:           ## create .venv and install everything (BUNDLE=dir: from a wheelhouse, without network)
	@$(INSTALL) setup --env $(ENV) $(BUNDLE_OPTION)

demo: setup      ## the main job: the randomness notebook, run by papermill on the embedded model
	@$(PY) -m workbench run randomness

test: setup      ## the first tier of tests (units, each notebook once, one real browser)
	@$(RUN_PYTEST) -m "not slow" $(PYTEST)

test-all: setup gemma extras   ## the second tier (second model, 4 bits, servers, nbval, chaos); run after make test
	@$(RUN_PYTEST) -m slow $(PYTEST)

test-release: setup gemma extras   ## both tiers with every paper at its default sizes and fifty kills
	@$(RUN_PYTEST) --release $(PYTEST)

lab: setup       ## JupyterLab on 127.0.0.1 with a token
	@$(PY) -m workbench lab

bench: setup     ## every benchmark at its small sizes
	@for script in benchmarks/*.py; do $(PY) $$script --quick || exit 1; done

lint: setup      ## ruff
	@$(PY) -m ruff check . && $(PY) -m ruff format --check workbench tests benchmarks

bundle: setup    ## a wheelhouse in ./bundle (or BUNDLE=dir) for a classroom without network (MODELS="NAME …" to take along)
	@$(INSTALL) bundle --env $(ENV) $(BUNDLE_OPTION) $(if $(MODELS),--models $(MODELS))

gemma: setup     ## the second embedded model, gemma3-270m (Gemma Terms of Use)
	@$(INSTALL) gemma --env $(ENV)

extras: setup    ## Ray and MLflow (cluster, mlflow), which the second tier uses
	@$(INSTALL) extras --env $(ENV)

pins: setup      ## constraints.txt from what is installed
	@$(INSTALL) pins --env $(ENV)
