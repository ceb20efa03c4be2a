# Each target sets up everything it needs; a fresh machine has only python3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
DEVICE_BIN := .venv-device/bin
OLDEST_BIN := .venv-oldest/bin
NEWEST_BIN := .venv-newest/bin
NEWEST_TESTS := tests/export/test_rules.py tests/export/test_bundle_export.py tests/export/test_parity.py \
	tests/meta/test_engine.py tests/meta/test_torch_private.py
CPP := $(wildcard export/cpp/*/*.?pp export/cpp/*/*/*.?pp tests/cpp/*.cpp tests/cpp/*/*.cpp)

.PHONY: demo test test-slow lint device oldest cpp arm m32 newest web web-page demo-web parity guard soak fuzz clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" sh benchmarks/demo.sh

# A training takes all cores, beside another test that does. With the usual policy its threads keep a
# core busy while they wait for each other: some tests took ten times as long.
test test-slow newest cpp web: export OMP_WAIT_POLICY := PASSIVE

# At most 8 minutes on two cores; the tests marked `slow` follow in `make test-slow`.
test: .venv/installed lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --durations 15 -m 'not slow'

test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --durations 15 -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

# One bundle, every runtime: do they all compute what PyTorch does? Writes docs/parity.md anew.
# `cpp` builds build/cpp/edgemeta-cpp, `web` the package for Node and Chromium in export/web/dist.
parity: .venv/installed cpp web
	EDGEMETA_REQUIRE_RUNTIMES=python,cpp,node,chromium OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/parity/test_classify.py
	EDGEMETA_REQUIRE_RUNTIMES=python,cpp,node,chromium $(BIN)/python -m tests.parity
	$(BIN)/python -m benchmarks.pages.parity

# The JavaScript package and the demo page: types, build, tests in Node, in Chromium, and with Python.
web: .venv/installed web-page
	cd export/web && npm test
	sh export/web/tools/chromium.sh
	cd export/web && npm run test:chromium
	EDGEMETA_REQUIRE_WEB=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/web tests/vectors

web-page: export/web/node_modules/installed
	cd export/web && npm run build && npm run check

# The page that learns drawings and words in the browser, built and served on this machine.
demo-web: web-page
	node export/web/tools/demo.mjs

export/web/node_modules/installed: export/web/package.json export/web/package-lock.json
	cd export/web && npm ci
	touch $@

# Whether adaptation has become slower than benchmarks/results/guard.json says.
guard: .venv/installed
	$(BIN)/python -m benchmarks.guard

# The C++ runner: build/cpp/edgemeta-cpp, and its tests. See export/cpp/build.sh for what it needs.
cpp: .venv/installed
	PYTHON=$(BIN)/python export/cpp/build.sh build/cpp
	EDGEMETA_REQUIRE_CPP=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile tests/cpp tests/vectors

# The C++ runner for 64-bit ARM, run under QEMU: whether it computes the same. Not part of .ci/run.
arm: .venv/installed
	PYTHON=$(BIN)/python export/cpp/build.sh build/cpp
	PYTHON=$(BIN)/python export/cpp/arm.sh build/arm64
	EDGEMETA_REQUIRE_RUNTIMES=cpp-arm64 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/parity -k cpp-arm64

# The C++ readers for a processor of 32 bits, and what they judge. Not part of .ci/run.
m32: .venv/installed
	PYTHON=$(BIN)/python export/cpp/build.sh build/cpp
	export/cpp/m32.sh build/m32
	EDGEMETA_REQUIRE_M32=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/vectors -k cpp-m32

# The promises of docs/reliability.md that take longer than a test may.
soak: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak --out benchmarks/results/soak.json
	$(BIN)/python -m benchmarks.soak_saves --kills 500

# 400,000 inputs for Python's readers of files from outside, guided by coverage: about 20 minutes; and
# 200,000 for those of each other language, in C++ with sanitizers, which must agree with Python's.
fuzz: .venv/installed web-page
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.campaign
	PYTHON=$(BIN)/python export/cpp/build.sh build/sanitized -DEDGEMETA_SANITIZE=ON
	$(BIN)/python -m tests.fuzz.languages

# The device's side of the bundle that `make demo` made, in a venv with neither torch nor onnx.
device: .venv-device/installed
	$(DEVICE_BIN)/python -m pip install --quiet --no-deps --force-reinstall .
	$(DEVICE_BIN)/python tests/device_only.py

# The same with the oldest packages that pyproject.toml allows.
oldest: .venv-oldest/installed
	$(OLDEST_BIN)/python -m pip install --quiet --no-deps --force-reinstall .
	$(OLDEST_BIN)/python tests/device_only.py

# The compiler's tests on the newest torch that pyproject.toml allows. Not part of .ci/run: its venv
# takes 5 GB.
newest: .venv-newest/installed
	OMP_NUM_THREADS=1 $(NEWEST_BIN)/python -m pytest -n auto --dist worksteal $(NEWEST_TESTS)

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv-device/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-device
	$(DEVICE_BIN)/python -m pip install --quiet --constraint constraints.txt .
	touch $@

.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	$(OLDEST_BIN)/python -m pip install --quiet --constraint constraints-oldest.txt .
	touch $@

.venv-newest/installed: pyproject.toml constraints-breadth.txt
	$(PYTHON) -m venv .venv-newest
	$(NEWEST_BIN)/python -m pip install --quiet --constraint constraints-breadth.txt --editable '.[breadth]'
	touch $@

clean:
	rm -rf .venv .venv-device .venv-oldest .venv-newest build demo-out .mypy_cache .ruff_cache .pytest_cache
	rm -rf export/web/node_modules export/web/dist
