# Everything a developer does here. Each target says what it does; the environment is .venv.
SHELL := /bin/bash
PYTHON ?=
BIN := .venv/bin
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-package run test check bench interop lab fuzz installer lock clean

help: ## say what there is
	@echo "Parley: make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  \1\t\2/p' Makefile | expand -t 14

setup: ## install what running Parley needs: system packages, .venv, pinned requirements
	@packaging/setup.sh run

setup-test:
	@packaging/setup.sh test

setup-package:
	@packaging/setup.sh package

run: setup ## open the window, or without a display call the echo contact and print the report
	@packaging/run.sh

test: setup-test ## every unit and window test, make check, and the short interop, lab, fuzz and bench
	@packaging/test.sh all

check: setup-test ## ruff, its format, mypy strict on app, and the import rules
	@packaging/test.sh check

bench: setup-test ## measure calls beside other phones, set-up, CPU and start-up; a table, and build/bench.json
	@packaging/test.sh bench

interop: setup-test ## full calls with baresip, kamailio, coturn and sipp
	@packaging/test.sh interop

lab: setup-test ## calls through NATs and bad wires in network namespaces (needs root)
	@packaging/test.sh lab

fuzz: setup-test ## long runs of random and malformed input against every parser and port
	@packaging/test.sh fuzz

installer: setup-package ## build dist/parley-desktop_VERSION_ARCH.deb
	@packaging/installer.sh

lock: ## write requirements/*.txt anew from pyproject.toml, with hashes and no hosts
	@packaging/lock.sh

clean: ## remove what was built and the caches; .venv stays
	@echo "make clean: removing build, dist and caches"
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find app ui resources tests packaging -name __pycache__ -type d -prune -exec rm -rf {} +
