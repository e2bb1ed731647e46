# SPDX-License-Identifier: MIT
# Building and running the tests. Each tests/unit/test_*.c is a cmocka program, each
# tests/system/test_*.c drives the real daemon; tests/run runs them and counts.

UNIT := $(patsubst %.c,$(O)/%,$(sort $(wildcard tests/unit/test_*.c)))
SYSTEM := $(patsubst %.c,$(O)/%,$(sort $(wildcard tests/system/test_*.c)))
BENCH := $(patsubst %.c,$(O)/%,$(sort $(wildcard tests/bench/bench_*.c)))
TEST_LIBS := $(TOOL_LIBS) $(DAEMON_LIBS) $(CTL_LIBS)
ARCHIVES = $(TOOL_LIB) $(DAEMON_LIB) $(CTL_LIB) $(CLIENT_A) $(ENGINE_LIB)

# Helpers shared by tests: any tests/*/*.c that is no program of its own.
UNIT_COMMON := $(filter-out tests/unit/test_%,$(call find_c,tests/unit))
SYSTEM_COMMON := $(filter-out tests/system/test_% tests/system/demo.c,$(call find_c,tests/system))
KERNEL_SRC := $(call find_c,tests/kernels)

$(O)/tests/unit/test_%: $(O)/obj/tests/unit/test_%.o $(call obj,$(UNIT_COMMON)) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TEST_LIBS) -lcmocka
# They see the daemon from outside: what they need is little, so that it can be built for other
# architectures' virtual machines.
$(O)/tests/system/test_%: $(O)/obj/tests/system/test_%.o $(call obj,$(SYSTEM_COMMON)) \
		$(CLIENT_A) $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) -lcjson -lcmocka -lm
$(O)/tests/bench/bench_%: $(O)/obj/tests/bench/bench_%.o $(call obj,$(SYSTEM_COMMON)) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TEST_LIBS)
$(O)/tests/demo: $(O)/obj/tests/system/demo.o $(call obj,$(SYSTEM_COMMON)) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TEST_LIBS)
# The kernel checker needs the engine alone, so that it builds for arm64 too.
$(O)/tests/kernels/check: $(call obj,$(KERNEL_SRC)) $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) -lm

# Whole models for arm64, and a plug-in of the emulator that counts their instructions.
$(O)/tests/arm64/run_model: $(O)/obj/tests/arm64/run_model.o $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(if $(CROSS),-static) -lm
$(O)/tests/arm64/count.so: $(O)/obj/tests/arm64/count.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) -shared
$(O)/obj/tests/arm64/count.o: NEAP_CFLAGS += -fPIC

tests: all $(UNIT) $(SYSTEM) $(O)/tests/kernels/check $(O)/tests/arm64/run_model $(O)/tests/demo

# ---- running them ----
NEAP_DATA ?= ../shared/data
export NEAP_DATA

# Sanitizer builds of the daemon and of the unit tests, and the kernels for arm64, beside build/.
.PHONY: check-build check check-run lint
check-build: tests $(BENCH)
	@$(MAKE) --no-print-directory O=build-asan SAN=address,undefined CFLAGS='-O1 -g' \
		build-asan/bin/neapd build-asan/bin/neap asan-units
	@$(MAKE) --no-print-directory O=build-tsan SAN=thread CFLAGS='-O1 -g' build-tsan/bin/neapd
	@$(MAKE) --no-print-directory O=build-arm64 CROSS=aarch64-linux-gnu- \
		CC=aarch64-linux-gnu-gcc \
		build-arm64/tests/kernels/check build-arm64/tests/arm64/run_model
	@$(MAKE) --no-print-directory fuzz-build

.PHONY: asan-units
asan-units: $(UNIT)

check:
	@packaging/setup build test kmod
	@$(MAKE) --no-print-directory -j2 check-build
	@tests/run --build $(O)

check-run: check-build
	@tests/run --build $(O)

lint:
	@packaging/setup build test
	@$(MAKE) --no-print-directory $(ENGINE_LIB)
	@NEAP_BUILD=$(O) sh -e -c 'for t in format layers cppcheck words; do \
		echo "lint: $$t"; tests/lint/$$t; done'

.PHONY: bench
bench:
	@packaging/setup build bench
	@$(MAKE) --no-print-directory all $(BENCH)
	@tests/bench/run $(O)

# Instructions executed for one inference, counted under emulation.
.PHONY: bench-arm64
bench-arm64:
	@packaging/setup build arm64
	@$(MAKE) --no-print-directory $(O)/bin/neap $(O)/tests/arm64/count.so
	@$(MAKE) --no-print-directory O=build-arm64 CROSS=aarch64-linux-gnu- \
		CC=aarch64-linux-gnu-gcc \
		build-arm64/tests/arm64/run_model
	@tests/bench/arm64 $(O) build-arm64

# ---- fuzzing: one target per way in, all code instrumented by clang ----
FUZZ_SECONDS ?= 600
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
# Targets for the make below, whose O is $(O)/fuzz/build.
$(addprefix $(O)/tests/fuzz/,$(FUZZ)): $(O)/tests/fuzz/%: $(O)/obj/tests/fuzz/%.o \
		$(O)/obj/tests/unit/container_models.o $(O)/obj/tests/unit/tflite_builder.o \
		$(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) -fsanitize=fuzzer $(TEST_LIBS) -lcmocka

.PHONY: fuzz-build fuzz-short
fuzz-build:
	@$(MAKE) --no-print-directory O=$(O)/fuzz/build CC=clang CFLAGS='-O1 -g' WARN= \
		SAN=address,undefined,fuzzer-no-link \
		$(addprefix $(O)/fuzz/build/tests/fuzz/,$(FUZZ))
	@for f in $(FUZZ); do ln -f $(O)/fuzz/build/tests/fuzz/$$f $(O)/fuzz/$$f; done
fuzz-short: fuzz-build
	@for f in $(FUZZ); do echo "fuzz: $$f"; tests/fuzz/run $(O)/fuzz/$$f || exit 1; done
fuzz:
	@packaging/setup build test
	@$(MAKE) --no-print-directory fuzz-build
	@for f in $(FUZZ); do echo "fuzz: $$f, $(FUZZ_SECONDS) s"; \
		tests/fuzz/run $(O)/fuzz/$$f $(FUZZ_SECONDS) || exit 1; done

# Each allocation of the container's test is routed through the test, which makes it fail in turn.
$(O)/tests/unit/test_container_memory: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc \
	-Wl,--wrap=realloc,--wrap=free

# ---- the kernel module: in virtual machines, no root and no KVM needed ----
KMOD_FUZZ_SECONDS ?= 300
.PHONY: check-kmod check-kmod-arm64 check-kmod-debug check-kmod-later check-kmod-matrix bench-kmod
check-kmod:
	@packaging/setup build test kmod
	@$(MAKE) --no-print-directory $(PROGRAMS) $(SYSTEM)
	@tests/vm/run --build $(O)
check-kmod-arm64:
	@packaging/setup build test kmod
	@tests/vm/run --build $(O) --arch arm64
check-kmod-debug:
	@packaging/setup build test kmod
	@$(MAKE) --no-print-directory $(PROGRAMS) $(SYSTEM)
	@tests/vm/run --build $(O) --kernel debug --fuzz $(KMOD_FUZZ_SECONDS)
# On the kernels of later releases; after check-kmod-matrix, which fetches them.
check-kmod-later:
	@packaging/setup build test kmod
	@$(MAKE) --no-print-directory $(PROGRAMS) $(SYSTEM)
	@tests/vm/run --build $(O) --kernel trixie
	@tests/vm/run --build $(O) --kernel sid
# /dev/neap against memfd, in a virtual machine; "make bench" has it where the module is loaded.
bench-kmod:
	@packaging/setup build test kmod
	@$(MAKE) --no-print-directory $(PROGRAMS) $(O)/tests/bench/bench_transport
	@tests/vm/run --build $(O) --bench
# Every kernel that the module is for: makes trees of later Debian releases (1.2 GB, once).
check-kmod-matrix:
	@packaging/setup build kmod
	@NEAP_BUILD=$(O) tests/vm/build-matrix

# ---- neap beside other run times; needs what only the benchmark needs ----
PEERS_SRC := $(call find_c,tests/bench/peers)
XNNPACK_VERSION := $(shell dpkg-query -W -f '$${Version}' libxnnpack-dev 2>/dev/null)
$(O)/obj/tests/bench/peers/%: NEAP_CPPFLAGS += -DXNNPACK_PACKAGE='"$(XNNPACK_VERSION)"'
$(O)/tests/bench/peers: $(call obj,$(PEERS_SRC) tests/unit/cut_model.c) $(TOOL_LIB) $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TOOL_LIBS) -lXNNPACK -lpthreadpool -ldnnl -lgomp -ldl

.PHONY: bench-peers
bench-peers:
	@packaging/setup build bench peers
	@$(MAKE) --no-print-directory all $(O)/tests/bench/peers $(O)/tests/bench/bench_stream
	@tests/bench/peers/run $(O)

# ---- a chain of streaming models beside ONNX Runtime; make bench-peers runs it too ----
STREAM_SRC := tests/bench/stream/bench_stream.c tests/bench/peers/onnxruntime.c
$(O)/tests/bench/bench_stream: $(call obj,$(STREAM_SRC)) $(TOOL_LIB) $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TOOL_LIBS) -ldl
