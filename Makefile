# make demo: train, measure and show a small model on bundled photos, and enlarge one by what travels with the project.
# make test: the tests. Both set up .venv first.
PYTHON ?= python3
VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: demo test test-all lint clean

demo: .venv/installed
	.venv/bin/python train.py experiment=demo
	.venv/bin/python upscale.py "input=$$(.venv/bin/python -c 'import skimage; print(skimage.__path__[0])')/data/coffee.png"

test: .venv/installed
	.venv/bin/python -m pytest -n auto

test-all: .venv/installed
	.venv/bin/python -m pytest -n auto -m "slow or not slow"

lint: .venv/installed
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

.venv/installed: pyproject.toml constraints.txt
	@test ! -e .venv/pyvenv.cfg || grep -q "^version.*= $(VERSION)\." .venv/pyvenv.cfg || { \
		echo ".venv is of another Python than $(PYTHON), which is $(VERSION): make clean, or make PYTHON=..."; exit 1; }
	.venv/bin/python -m pip -V >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv
