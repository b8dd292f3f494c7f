# Deal Desk: everything one types. `make run` and `make test` need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: what fails is still said.
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes

# Where the product listens (the sandbox takes the two ports after it).
ifdef PORT
export PORT
endif

.DEFAULT_GOAL := help
.PHONY: help run test soak bench screenshots lock install install-dev

help:
	@echo "make run           the product at http://127.0.0.1:8000 (PORT=8010: elsewhere)"
	@echo "make test          every check and test, on SQLite, in a browser and on PostgreSQL"
	@echo "make soak          random lives, real kills, races and a long outage, for a night (PARTS=kills; SCHEDULES=500 SEED=17)"
	@echo "make bench         what pages cost at 1,000 and 100,000 proposals"
	@echo "make screenshots   every page, role and look as pictures in var/screenshots"
	@echo "make lock          write the locks anew from requirements.in and requirements-dev.in"

run: install .env
	@$(BIN)/python manage.py start

test: install-dev
	@.ci/checks

soak: install-dev
	@$(BIN)/python -m tests.soak $(PARTS) $(if $(SCHEDULES),--schedules $(SCHEDULES)) $(if $(SEED),--seed $(SEED))

bench: install .env
	@$(BIN)/python -m tests.bench

screenshots: install-dev .env
	@$(BIN)/python -m tests.screenshots

lock: install-dev
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes $(UPGRADE) requirements.in -o requirements.txt
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes $(UPGRADE) requirements-dev.in -o requirements-dev.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Deal Desk needs Python 3.11 or newer; say where it is: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# A copy of the lock says what is installed, so that a second start installs nothing.
install: $(BIN)/python
	@cmp -s requirements.txt $(VENV)/installed.txt || { \
	  echo "Installing the libraries (once) …"; \
	  $(INSTALL) -r requirements.txt && cp requirements.txt $(VENV)/installed.txt; }

install-dev: install
	@cmp -s requirements-dev.txt $(VENV)/installed-dev.txt || { \
	  echo "Installing what checks the product (once) …"; \
	  $(INSTALL) -r requirements-dev.txt && cp requirements-dev.txt $(VENV)/installed-dev.txt; }

.env:
	@umask 077; $(BIN)/python -c 'import pathlib, secrets; \
	text = pathlib.Path(".env.example").read_text(); \
	pathlib.Path(".env").write_text(text.replace("SECRET_KEY=\n", f"SECRET_KEY={secrets.token_urlsafe(50)}\n"))'
