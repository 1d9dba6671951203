PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint coverage torture docs pages figures bench bench-long samples clean

help:
	@echo "make demo      denoise the photographs in samples/ into demo/"
	@echo "make test      the quick test suite"
	@echo "make test-all  all tests, the slow ones too"
	@echo "make lint      ruff, mypy and import-linter"
	@echo "make coverage  the quick test suite, with the lines that no test runs"
	@echo "make torture   damaged files, runs ended at random, failing writes (hours; MUTANTS, KILLS, CORPUS)"
	@echo "make docs      this documentation as a web site in site/"
	@echo "make pages     man/ and the pages of docs/ that are made of the program"
	@echo "make figures   what the shipped weights reach (test sets in DATA=$(DATA))"
	@echo "make bench     speed, memory and quality beside PyTorch, OpenCV and BM3D"
	@echo "make bench-long  24 megapixels, a folder of 200 photographs, and how cost grows (hours)"
	@echo "make samples   make samples/ again from the CC0 pictures in DATA=$(DATA)"
	@echo "make clean     remove the environment and everything that was made"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "imrestore needs Python 3.11 or newer; set PYTHON=python3.12, for example"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/imrestore denoise samples -o demo --compare --overwrite
	@echo "Results and before/after pictures (*_compare.png): $(CURDIR)/demo"

# Networks so small gain nothing by threads: the cores share the tests instead.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(INSTALLED)
	$(BIN)/python -m pytest -q -m "not slow" --cov --cov-report=term-missing:skip-covered

MUTANTS ?= 200000
KILLS ?= 2000
CORPUS ?=
SEED ?= 0
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

torture: $(INSTALLED)
	nice $(BIN)/python tests/torture --mutants $(MUTANTS) --kills $(KILLS) --seed $(SEED) --jobs $(JOBS) --corpus $(CORPUS)

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

pages: $(INSTALLED)
	$(BIN)/python docs/generate.py

figures: $(INSTALLED)
	$(BIN)/imrestore evaluate denoise $(DATA)/denoise/test/bsd68 --model dncnn-gray --sigma 15,25,50
	$(BIN)/imrestore evaluate denoise $(DATA)/denoise/test/bsd68 --model resunet-gray --sigma 15,25,50
	$(BIN)/imrestore evaluate denoise $(DATA)/denoise/test/cbsd68 --model dncnn-color --sigma 15,25,50
	$(BIN)/imrestore evaluate denoise $(DATA)/denoise/test/cbsd68 --model resunet-color --sigma 15,25,50
	$(BIN)/imrestore evaluate denoise $(DATA)/denoise/real/polyu/clean --noisy $(DATA)/denoise/real/polyu/noisy
	$(BIN)/imrestore evaluate denoise $(DATA)/jpeg/test/classic5 --model jpeg --jpeg 10,20,30,40
	$(BIN)/imrestore evaluate dark-enhance $(DATA)/denoise/test/kodak24
	$(BIN)/imrestore evaluate dark-enhance $(DATA)/denoise/test/kodak24 --iso 100,400,1600,6400,25600
	$(BIN)/imrestore evaluate anomaly $(DATA)/anomaly/magnetic-tile --model anomaly-magnetic-tile
	$(BIN)/imrestore evaluate hdr $(DATA)/hdr/panoramas/test --model hdr-optics --model hdr-measured

bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,compare]'
	$(BIN)/python benchmarks/side_by_side.py --model dncnn-color
	$(BIN)/python benchmarks/side_by_side.py --model resunet-color
	$(BIN)/python benchmarks/folder_throughput.py --count 20
	$(BIN)/python benchmarks/tasks.py
	$(BIN)/python benchmarks/start.py

bench-long: $(INSTALLED)
	$(BIN)/python benchmarks/side_by_side.py --model dncnn-color --megapixels 24 --count 1 --format jpeg --methods 'reference;imrestore;ceiling'
	$(BIN)/python benchmarks/side_by_side.py --model resunet-color --megapixels 24 --count 1 --format jpeg --methods 'reference;imrestore;ceiling'
	$(BIN)/python benchmarks/folder_throughput.py
	$(BIN)/python benchmarks/cost_curves.py -o docs/pictures/cost.png

samples: $(INSTALLED)
	$(BIN)/python benchmarks/make_samples.py $(DATA) samples

clean:
	rm -rf $(VENV) demo build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage coverage.xml
