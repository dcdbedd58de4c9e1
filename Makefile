SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Many processes start in a test or a run; each would compile all its libraries again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help app layers map docs coverage setup run synth deploy test lint types unit integration proof lock clean site-demo screenshots app-pictures cohort

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

setup: .venv/.installed node_modules/.installed .build/app.json .venv/.template  ## everything a fresh machine needs

.venv/.installed: requirements.lock pyproject.toml
	@# Debian's python3 may lack ensurepip: then the outer pip fills the environment.
	test -x $(BIN)/python || $(PYTHON) -m venv .venv 2>/dev/null \
	    || $(PYTHON) -m venv --clear --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

node_modules/.installed: package-lock.json
	npm ci --loglevel=error
	touch $@

# The notebook app is made from its own files and from the API's declarations.
APP := $(shell find site/app -type f -not -path '*/generated/*') site/results/styles/tokens.css
DECLARED := $(wildcard functions/api/forms.py functions/api/engine/declarations.py \
    functions/api/resources/*.py)

.build/app.json: .venv/.installed node_modules/.installed $(APP) $(DECLARED)
	$(BIN)/python -m functions.api.forms >/dev/null
	node_modules/.bin/tsc --project site/app
	node_modules/.bin/tsc --project site/app/tsconfig.sw.json
	node site/app/build.mjs

.venv/.template: .venv/.installed node_modules/.installed $(wildcard infra/*.py) cdk.json $(DECLARED)
	$(BIN)/python -m infra.local.template
	touch $@

app: .build/app.json  ## the notebook app, types checked, in .build/app

.venv/.browser: .venv/.installed
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } \
	    || echo "chromium could not be installed: the tests of the pages will be skipped"
	touch $@

lock:  ## renew the lock files after a change of pyproject.toml or package.json
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	npm install --package-lock-only

# A session of a simulated ephys rig: behaviour, an NI board and a probe on clocks of their own.
EPHYS_DATA := .fornix/ephys/fimbrialab/Subjects/SYN_001/2024-01-08/001

run: setup  ## the whole system here; DATA=session/folder, EPHYS=1, ONCE=1 to stop when it is processed
	$(if $(EPHYS),$(BIN)/fornix rig simulate .fornix/ephys --mice 1 --days 1 --ephys)
	$(BIN)/fornix up $(if $(DATA)$(EPHYS),--data $(if $(DATA),$(DATA),$(EPHYS_DATA))) $(if $(ONCE),--once)

synth: setup  ## the CloudFormation template, checked by cdk-nag and cfn-lint
	$(BIN)/python -m infra.app
	$(BIN)/cfn-lint --ignore-checks W3005 --template cdk.out/fornix.template.json

deploy: setup  ## to AWS, with the credentials of the environment; asks for a first password
	npx --yes aws-cdk@2.1148.0 deploy --context bundle=true --outputs-file cdk.out/outputs.json
	$(BIN)/python -m infra.prepare admin --outputs cdk.out/outputs.json

lint: setup  ## ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## mypy
	$(BIN)/mypy

layers: setup  ## which import points the wrong way
	$(BIN)/lint-imports

map: setup  ## the map of the house in docs/architecture.md, from what each room says of itself
	$(BIN)/python -m tests.architecture.house --write

docs: setup  ## the documentation as a static site with search, in .fornix/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning docs .fornix/docs

coverage: setup  ## lines that unit tests run, as HTML in .fornix/coverage
	$(BIN)/pytest -n 2 -m "not integration and not browser and not proof" \
	    --cov=shared --cov=functions --cov=lab --cov=infra --cov-report=html:.fornix/coverage --cov-report=term

unit: setup  ## tests that need no running system
	$(BIN)/pytest -n 2 -m "not integration and not browser and not proof"

.venv/.mariadb: .venv/.installed
	command -v mariadb-install-db >/dev/null || { apt-get update -qq \
	    && apt-get install -y -qq --no-install-recommends mariadb-server; } \
	    || echo "MariaDB could not be installed: the tests of DataJoint's tables will be skipped"
	touch $@

integration: setup .venv/.browser .venv/.mariadb  ## tests against real servers and a real browser
	$(BIN)/pytest -n 2 -m "(integration or browser) and not proof"

test: lint types unit integration  ## what CI runs

proof: setup  ## kills, races, poison (SEED=…, ROUNDS=…), imports, restore; PARTS="values races"
	FORNIX_POISON_SEED=$(or $(SEED),1) FORNIX_POISON_ROUNDS=$(or $(ROUNDS),20) \
	    $(BIN)/python -m tests.proof $(PARTS)

.PHONY: proof-dump
proof-dump: setup  ## a dump of 1,000 animals, imported twice
	$(BIN)/pytest -m proof tests/importers/test_dump.py

.PHONY: journeys
journeys: setup .venv/.browser  ## the README followed to the letter from a fresh clone, by each kind of user
	$(BIN)/pytest -m proof tests/docs/test_journeys.py

COHORT ?= ../shared/data/training_cohort

cohort: setup  ## simulated mice through the whole system to Fig. 2: MICE=140, SCALE=0.1, MINUTES=60
	$(BIN)/python -m infra.local.cohort --cohort $(COHORT) $(if $(MICE),--mice $(MICE)) \
	    $(if $(DAYS),--days $(DAYS)) $(if $(SCALE),--trials-scale $(SCALE)) \
	    $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONCE),--once)

site-demo: setup  ## a results site of 2,000 simulated sessions (SESSIONS=n), in .fornix/demo
	$(BIN)/fornix site demo .fornix/demo --sessions $(or $(SESSIONS),2000)

app-pictures: setup .venv/.browser  ## every screen of the app, on sheets in .fornix/screenshots/app
	$(BIN)/python -m tests.app.pictures --sheets

screenshots: setup .venv/.browser  ## the README's pictures anew, of a demonstration site
	$(BIN)/python site/screenshots/take.py
	$(BIN)/python -m tests.app.pictures

clean:  ## remove what was installed and built
	rm -rf .venv node_modules cdk.out .fornix/cache

.PHONY: fuzz-codec bench-codec spikeinterface reference ibllib nwb datajoint sharing bench-sharing descriptions

fuzz-codec: setup  ## a million damaged recordings; CASES=… for fewer, SEED=… for others
	$(BIN)/python -m tests.codec.fuzz --cases $(or $(CASES),1000000) --seed $(or $(SEED),1)

.PHONY: bench
bench: setup  ## requests to the API, beside the last tag or BASE=revision; fails where slower
	$(BIN)/python benchmarks/api.py --base $(or $(BASE),tag) \
	    --sessions $(or $(SESSIONS),200) --repeats $(or $(REPEATS),9)
	$(BIN)/python benchmarks/load.py

bench-codec: setup .venv/.wavpack  ## the codec beside mtscomp, WavPack, zstd; FILES=… your own
	$(BIN)/python benchmarks/codec.py $(FILES)

.venv/.wavpack: .venv/.installed
	@# Built here: its wheels are for newer systems than Debian 12. It asks the program `wavpack`
	@# for its version. Without it the benchmark leaves WavPack out, and the next run tries again.
	@if { command -v wavpack && test -e /usr/include/wavpack/wavpack.h; } >/dev/null \
	    || { apt-get update -qq && apt-get install -y -qq \
	        wavpack libwavpack-dev gcc libc6-dev python3-dev; } \
	    && $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps wavpack-numcodecs==0.3.0 \
	    && $(BIN)/python -c "import wavpack_numcodecs"; \
	then touch $@; else echo "WavPack could not be built: it is not measured"; fi

# Strangers' tools whose libraries exclude ours, or each other.
APART := .venv/spikeinterface/.installed .venv/nwb/.installed .venv/datajoint-2/.installed

.venv/spikeinterface/.installed: .venv/.installed
	test -x .venv/spikeinterface/bin/python || python3 -m venv .venv/spikeinterface
	$(BIN)/uv pip install --quiet --python .venv/spikeinterface/bin/python spikeinterface==0.105.3 \
	    pynwb zstandard isal zlib-ng msgspec scipy hypothesis pytest pytest-timeout requests
	touch $@

.venv/nwb/.installed: .venv/.installed
	test -x .venv/nwb/bin/python || python3 -m venv .venv/nwb
	$(BIN)/uv pip install --quiet --python .venv/nwb/bin/python ".[nwb]" hdmf-zarr==0.13.0 \
	    lindi==0.4.6 dandi==0.81.0 pytest pytest-timeout hypothesis
	touch $@

.venv/datajoint-2/.installed: .venv/.installed
	for line in 0.14 2; do test -x .venv/datajoint-$$line/bin/python \
	    || python3 -m venv .venv/datajoint-$$line; done
	$(BIN)/uv pip install --quiet --python .venv/datajoint-0.14/bin/python \
	    datajoint==0.14.8 "pandas<2" "numpy<2" scipy "setuptools<81"
	@# It asks for a client of 2020, and runs with this one.
	$(BIN)/uv pip install --quiet --no-deps --python .venv/datajoint-0.14/bin/python \
	    ibl-pipeline-light==0.1.2
	$(BIN)/uv pip install --quiet --python .venv/datajoint-2/bin/python datajoint==2.3.5 pandas numpy
	touch $@

spikeinterface: setup .venv/spikeinterface/.installed  ## the codec's reader in SpikeInterface, which is installed apart
	.venv/spikeinterface/bin/python -m pytest -p no:cacheprovider tests/codec/test_plugins.py
	$(BIN)/pytest -p no:cacheprovider tests/releases/test_spikeinterface_apart.py

nwb: setup .venv/nwb/.installed  ## NWB as Zarr, by reference and before DANDI's own client, which are installed apart
	.venv/nwb/bin/python -m pytest -p no:cacheprovider -W default tests/exports/test_nwb_apart.py

descriptions: setup  ## a release's DataCite, RO-Crate, Croissant, schema.org before their validators, installed apart
	test -x .venv/descriptions/bin/python || python3 -m venv .venv/descriptions
	$(BIN)/uv pip install --quiet --python .venv/descriptions/bin/python datacite==1.4.1 \
	    mlcroissant==1.1.1 pyld==3.3.0 roc-validator==0.13.0 rocrate==0.16.0
	$(BIN)/pytest -p no:cacheprovider tests/releases/test_descriptions_apart.py

.PHONY: proof-release
proof-release: setup  ## a release of 5,000 sessions, read in parts
	$(BIN)/pytest -s -m proof tests/releases/test_many_sessions.py

sharing: setup .venv/.mariadb $(APART)  ## two releases the whole way, with strangers' tools
	$(BIN)/pytest -p no:cacheprovider --timeout 1800 -m proof tests/releases/test_sharing.py

bench-sharing: setup  ## loading, requests of one second, zips, memory of NWB (LENGTHS="60 3600")
	$(BIN)/python benchmarks/loading.py --rounds 3
	$(BIN)/pytest -p no:cacheprovider tests/releases/test_one_second.py
	$(BIN)/python benchmarks/zips.py --rounds 2 --large 10 --small 1000
	$(BIN)/python benchmarks/nwb_memory.py --seconds $(or $(LENGTHS),20 120) --gzip 1

datajoint: setup .venv/.mariadb .venv/datajoint-2/.installed  ## both lines of DataJoint's client, installed apart; MICE=116, NOTEBOOK=… the paper's code
	MICE="$(MICE)" NOTEBOOK="$(NOTEBOOK)" $(BIN)/pytest -p no:cacheprovider \
	    --timeout $(if $(MICE),3600,300) tests/exports/test_datajoint_clients.py

.PHONY: environments
environments: setup  ## renew the locks of tasks with libraries of their own (lab/environments)
	for one in lab/environments/*.in; do $(BIN)/uv pip compile $$one --universal --python-version 3.11 \
	    --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	    --quiet --upgrade -o $${one%.in}.lock; done

IBLLIB := .venv/ibllib/.installed

$(IBLLIB):
	test -x .venv/ibllib/bin/python || python3 -m venv .venv/ibllib
	.venv/ibllib/bin/pip install --quiet ibllib==4.1.0
	touch $@

ibllib: setup $(IBLLIB)  ## ibllib's own registration and whole pipeline against the running system
	$(BIN)/pytest -m proof tests/integration/test_ibllib.py

.PHONY: ephys
ephys: setup $(IBLLIB)  ## a simulated probe from the rig to sorted units, beside the truth and brainbox; TRIALS=…, JSON=file
	FORNIX_EPHYS_TRIALS=$(or $(TRIALS),8) FORNIX_EPHYS_JSON="$(JSON)" \
	    $(BIN)/pytest -p no:cacheprovider -m proof tests/lab/test_sorting.py

.PHONY: sorters
sorters: setup  ## how many neurons sorters find, over simulated probes; SEEDS="11 12", SORTERS=…, JSON=file
	$(BIN)/python -m benchmarks.sorters $(if $(SEEDS),--seeds $(SEEDS)) \
	    $(if $(SORTERS),--sorters $(SORTERS)) $(if $(JSON),--json $(JSON))

.PHONY: reference-fuzz
reference-fuzz: setup $(IBLLIB)  ## damaged sessions and drawn mice beside ibllib; SEED=…, ROUNDS=…, KIND=…
	$(BIN)/python -m benchmarks.fuzz --ibllib .venv/ibllib/bin/python --seed $(or $(SEED),1) \
	    --rounds $(or $(ROUNDS),300) $(if $(KIND),--kind $(KIND))

reference: setup $(IBLLIB)  ## trials, wheel, quality, main clock and training status beside ibllib; SESSIONS=… your own
	$(BIN)/python benchmarks/reference.py --ibllib .venv/ibllib/bin/python $(SESSIONS)

.PHONY: chaos projects
chaos: setup  ## 200 sessions of five tasks, four workers: kills, 503s, a full disk, a killed cloud; SESSIONS=… of that
	CHAOS_SESSIONS=$(SESSIONS) $(BIN)/pytest -s -q -m proof tests/lab/test_chaos.py \
	    tests/lab/test_chaos_cloud.py

projects: setup $(IBLLIB)  ## personal projects of ibllib as they are: PROJECTS=checkout of them
	FORNIX_PROJECTS=$(abspath $(PROJECTS)) $(BIN)/pytest -q -m proof tests/tasks/test_personal.py
