# Everything one does here, by name. PYTHON makes the environment, VENV is where it lies,
# ARGS goes to the command behind a target: make test ARGS="-k ndvi".
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
RUN = $(VENV)/bin/python -m
GROUPS = --group test --group bench --group dev
INSTALLED = $(VENV)/.installed
COMPOSE = docker compose --file .devcontainer/docker-compose.yml
WORKERS ?= 1
SUITE_INSIDE = tests/cluster/test_commands.py::test_the_suite_passes_in_the_shell

.DEFAULT_GOAL := help
.PHONY: help install bench test fuzz suite check lint types asv-check budgets docker cluster-up cluster-test cluster-suite cluster-bench cluster-down lock clean

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED)  ## make the environment, or bring it up to date

bench: $(INSTALLED)  ## run the main job: workflows and suites, ending in a table and a page
	$(RUN) benchmarks run $(ARGS)

test: $(INSTALLED)  ## run the whole test suite
	$(RUN) pytest $(ARGS)

fuzz: $(INSTALLED)  ## look for examples that break a law, other ones each time
	$(RUN) pytest -m hypothesis --hypothesis-profile fuzz $(ARGS)

# The official suite wants older releases of two of our pins than jupyter does.
suite: $(INSTALLED)  ## run the official test suite's dask runner, in an environment of its own
	$(PYTHON) -m venv $(VENV)-suite
	grep -v -E '^(jsonschema-specifications|referencing)==' constraints.txt > $(VENV)-suite/constraints.txt
	$(VENV)-suite/bin/python -m pip install --quiet --constraint $(VENV)-suite/constraints.txt . openeo-test-suite
	OPENEO_TEST_SUITE=$(abspath $(VENV)-suite)/bin/python $(RUN) pytest -s tests/spec/test_official_suite.py $(ARGS)

check: lint types asv-check budgets test  ## all that must hold before a commit

lint: $(INSTALLED)  ## look for mistakes and untidy layout
	$(RUN) ruff check
	$(RUN) ruff format --check

types: $(INSTALLED)  ## check the types
	$(RUN) mypy

asv-check: $(INSTALLED)  ## import every benchmark as asv does
	$(RUN) asv check --python=same

budgets: $(INSTALLED)  ## compare the counts of every graph with benchmarks/budgets.toml
	$(RUN) benchmarks graph --check

docker:
	@docker compose version >/dev/null || { echo 'The mini-backend needs docker with compose 2.30 or newer.' >&2; exit 1; }
	@docker info >/dev/null || { echo 'Docker is here, but it does not answer this user.' >&2; exit 1; }

cluster-up: docker  ## start the mini-backend in containers, with WORKERS=4 for four workers
	@$(COMPOSE) up --detach --build --scale worker=$(WORKERS) || \
	  { echo 'Where a port is taken, set another: make cluster-up DASHBOARD_PORT=8790 JUPYTER_PORT=8890' >&2; exit 1; }

cluster-test: $(INSTALLED)  ## build, start, use, break and remove a mini-backend of its own
	$(RUN) pytest -p no:xdist --cluster tests/cluster --deselect $(SUITE_INSIDE) $(ARGS)

cluster-suite: $(INSTALLED)  ## run the whole test suite in the mini-backend, which takes as long as here and longer
	$(RUN) pytest -p no:xdist --cluster tests/cluster/test_commands.py -k "healthy or suite_passes or belongs or down" $(ARGS)

cluster-bench: cluster-up  ## run the main job on the mini-backend
	docker exec $${DEVCONTAINER_NAME:-openeo-devcontainer} poetry run python -m benchmarks run $(ARGS)

cluster-down: docker  ## remove the mini-backend, and leave its image
	$(COMPOSE) down --volumes --remove-orphans

lock:  ## write constraints.txt anew from the newest releases that fit together
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-lock/bin/python -m pip install --quiet --only-binary :all: --no-binary openeo-processes-dask . $(GROUPS) --group notebooks
	$(VENV)-lock/bin/python -m pip freeze --exclude openeo-processes-dask --exclude setuptools > $(VENV)-lock/pins
	! grep -v -E '^[A-Za-z0-9._-]+==[^ @]+$$' $(VENV)-lock/pins
	mv $(VENV)-lock/pins constraints.txt
	rm -rf $(VENV)-lock

clean:  ## remove caches and builds, and leave the environment and the results
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find benchmarks openeo_processes_dask tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The backend is installed first and the build is not isolated, so that a second installation
# fetches nothing. An environment that has no working pip (Debian's python3 without its venv
# package leaves one behind) is made again in place.
$(INSTALLED): pyproject.toml constraints.txt
	@$(RUN) pip --version >/dev/null 2>&1 || $(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.12 …')"
	@$(RUN) pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet 'pip>=25.1'
	$(RUN) pip install --quiet --constraint constraints.txt poetry-core
	$(RUN) pip install --quiet --constraint constraints.txt --no-build-isolation --editable . $(GROUPS)
	@touch $@
