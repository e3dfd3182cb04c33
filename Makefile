# `make demo` and `make test` are all a newcomer needs; both make .venv first when it is not there or out of date.
PYTHON ?= python3
PY     := .venv/bin/python
export PYTHONWARNINGS ?= ignore::FutureWarning

demo: .venv/installed          ## train a first VAE, write its pictures to runs/demo
	$(PY) -m vae_nbdev.demo

test: .venv/installed          ## the notebooks as tests, then pytest
	$(PY) -m pytest -q --version >/dev/null
	.venv/bin/nbdev_test --n_workers 0 --timing
	$(PY) -m pytest

test-slow: .venv/installed     ## as test, and what takes minutes
	$(PY) -m pytest --slow

export: .venv/installed        ## notebooks -> modules and README, notebooks cleaned
	.venv/bin/nbdev_export && .venv/bin/nbdev_clean && $(PY) tools/readme.py

run: .venv/installed           ## execute notebooks in place: make run NB="nbs/data/*.ipynb"
	$(PY) tools/run_nb.py $(NB) && .venv/bin/nbdev_clean

bench: .venv/installed         ## the data path beside fastai's own
	$(PY) benchmarks/data_path.py

lab: .venv/installed           ## open the notebooks
	.venv/bin/pip install -q jupyterlab && .venv/bin/jupyter lab nbs

.venv/installed: settings.ini setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3,10))' || { echo "Python 3.10 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "python3 cannot make a virtual environment: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@git rev-parse --git-dir >/dev/null 2>&1 && .venv/bin/nbdev_install_hooks || true
	@touch $@

clean:                         ## remove what was built, keep runs/
	rm -rf .venv build dist *.egg-info

.PHONY: demo test test-slow export run bench lab clean
