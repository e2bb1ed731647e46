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
$(O)/tests/system/test_%: $(O)/obj/tests/system/test_%.o $(call obj,$(SYSTEM_COMMON)) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TEST_LIBS) -lcmocka
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

tests: all $(UNIT) $(SYSTEM) $(O)/tests/kernels/check $(O)/tests/demo

# ---- running them ----
NEAP_DATA ?= ../shared/data
export NEAP_DATA

# Sanitizer builds of the daemon and of the unit tests, and the kernels for arm64, beside build/.
.PHONY: check-build check check-run lint
check-build: tests
	@$(MAKE) --no-print-directory O=build-asan SAN=address,undefined CFLAGS='-O1 -g' \
		build-asan/bin/neapd asan-units
	@$(MAKE) --no-print-directory O=build-tsan SAN=thread CFLAGS='-O1 -g' build-tsan/bin/neapd
	@$(MAKE) --no-print-directory O=build-arm64 CROSS=aarch64-linux-gnu- \
		build-arm64/tests/kernels/check

.PHONY: asan-units
asan-units: $(UNIT)

check:
	@packaging/setup build test
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
