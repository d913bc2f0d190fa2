# Two commands matter: `make night` and `make test`. Each makes the environment it needs.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.PHONY: help install data night test long chaos cheats browser check verdicts bench-trainer compare-reference compare-scoring parity clean

help:
	@echo "make night   a first night of about ten minutes on real text, with short profiles"
	@echo "make test    every test"
	@echo "make long    the tests that take longest; make test has a slice of each"
	@echo "make chaos   a short night with something going wrong at each of its points, and real nights killed at random"
	@echo "make cheats  every cheat and every honest twin on the real bench, then without each defence in turn"
	@echo "make browser the morning report in a real Chromium; gets one where it can"
	@echo "make check   formatting, lint, types and the knowledge base"
	@echo "make verdicts   the tables of docs/verdicts.md: simulated nights beside other keep rules, and null proposals"
	@echo "make bench-trainer   how fast a training step is, with and without the twins of trainer/fast.py"
	@echo "make compare-reference REFERENCE=PATH   a training step beside OpenAI's train_gpt_mlx.py (docs/reference.md)"
	@echo "make compare-scoring REFERENCE=PATH     scoring beside its evaluation"
	@echo "make parity REFERENCE=PATH              the same losses as it, to 1e-4; writes tests/trainer/parity.json"
	@echo "make clean   remove the environment"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nightshift needs Python 3.11 or later: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

data: $(READY)
	@test -f data/manifest.json || $(RUN) nightshift data prepare

night: data
	$(RUN) nightshift run --short --hours 0.2 --max-experiments 8 --name first

test: $(READY)
	$(RUN) pytest --numprocesses 2 --dist loadfile

long: $(READY)
	$(RUN) pytest --numprocesses 2 -m long

chaos: $(READY)
	$(RUN) python -m tests.chaos.sweep
	$(RUN) python -m tests.chaos.sweep --without-fsync
	$(RUN) python -m tests.chaos.disturbed
	$(RUN) python -m tests.chaos.kills

cheats: $(READY)
	$(RUN) pytest --numprocesses 2 -m "cheats or not cheats" tests/cheats
	$(RUN) python -m scripts.mutate_defences

browser: $(READY)
	$(RUN) python -m tests.browser.needs
	$(RUN) pytest --capture=no -m browser tests/browser

check: $(READY)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) nightshift kb check

verdicts: $(READY)
	$(RUN) python -m scripts.simulate
	$(RUN) python -m scripts.null_proposals

bench-trainer: $(READY)
	$(RUN) python scripts/bench_trainer.py $(SIZES)

export REFERENCE

compare-reference: $(READY)
	$(RUN) python -m scripts.compare_reference $(SIZES)

compare-scoring: data
	$(RUN) python -m scripts.compare_scoring

parity: $(READY)
	$(RUN) python -m scripts.parity

clean:
	rm -rf $(VENV) build *.egg-info
