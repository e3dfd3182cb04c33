# `make demo` and `make test` are all a newcomer needs; both make .venv first when it is not there or out of date.
PYTHON ?= python3
PY     := .venv/bin/python
export PYTHONWARNINGS ?= ignore::FutureWarning

# Notebooks run in their own folders, so a relative folder of data sets is made absolute here
ifneq ($(VAE_NBDEV_DATA),)
override VAE_NBDEV_DATA := $(if $(filter /% ~%,$(VAE_NBDEV_DATA)),$(VAE_NBDEV_DATA),$(CURDIR)/$(VAE_NBDEV_DATA))
export VAE_NBDEV_DATA
endif

help:                          ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: .venv/installed          ## train a first VAE, write its pictures to runs/demo
	$(PY) -m vae_nbdev.demo

# two processes on two cores, one thread each (tests/conftest.py says which tests stay together); the slowest are named at the end
pytest = OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 8 --durations 10

test: .venv/installed          ## the notebooks and every behaviour once, in minutes
	$(pytest)

test-all: .venv/installed      ## everything that SECURITY.md and the tutorials promise, for more than an hour
	$(pytest) --slow

export: .venv/installed        ## notebooks to modules and README, notebooks cleaned
	.venv/bin/nbdev_clean
	.venv/bin/nbdev_export
	$(PY) tools/readme.py

check: .venv/installed         ## do modules, notebooks and README agree?
	$(PY) tools/check_sync.py

run: .venv/installed           ## execute notebooks and keep their outputs: make run NB="nbs/data/*.ipynb"
	$(PY) tools/run_nb.py $(NB)
	.venv/bin/nbdev_clean

docs: .venv/installed docs/node_modules/.package-lock.json   ## the documentation site, in _site/
	.venv/bin/sphinx-build -q -W --keep-going -c docs nbs _site
	@echo "The site is in _site: make preview"

preview: docs                  ## serve the site to this machine alone, at http://127.0.0.1:8000
	$(PY) -m http.server --bind 127.0.0.1 --directory _site 8000

docs/node_modules/.package-lock.json: docs/package.json docs/package-lock.json
	@command -v npm >/dev/null || { echo "The site takes MathJax and onnxruntime-web from npm: install Node.js (Debian, Ubuntu: apt install npm)"; exit 1; }
	npm ci --prefix docs --no-audit --no-fund --ignore-scripts
	@touch $@

bench: .venv/installed         ## speed and memory beside bare torch, fastai's own loader and Pythae
	$(PY) -W ignore benchmarks/bench.py

hooks: .venv/installed         ## merge notebooks cell by cell, and trust them after a pull
	git config --local include.path ../.gitconfig
	printf '#!/bin/sh\nexec .venv/bin/nbdev_trust\n' > "$$(git rev-parse --git-path hooks)/post-merge"
	chmod +x "$$(git rev-parse --git-path hooks)/post-merge"

lab: .venv/installed           ## open the notebooks
	$(PY) -m pip install -q jupyterlab -c constraints.txt
	.venv/bin/jupyter lab nbs

.venv/installed: settings.ini setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3,10))' || \
	  { echo "Python 3.10 or newer is needed, for example: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || { echo "Making .venv ..."; $(PYTHON) -m venv --clear .venv; } || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "Installing into .venv: a few minutes, and about 6 GB, the first time ..."
	@$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:                         ## remove what was built and installed, keep runs/
	rm -rf .venv .venv-wheel _site docs/node_modules build dist *.egg-info

.PHONY: help demo test test-all export check run docs preview bench hooks lab clean
