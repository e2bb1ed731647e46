# SPDX-License-Identifier: MIT
# neap: build, test, install. `make help` lists the targets.
#
#   O=DIR      build into DIR (default build)        V=1    show commands
#   CC=...     compiler                              CROSS=aarch64-linux-gnu-  engine for arm64
#   SAN=...    sanitizers, e.g. address,undefined    DESTDIR, prefix  for install

VERSION := 0.1.0
SOVERSION := 0
O ?= build
CROSS ?=
ifeq ($(origin CC),default)
CC := $(CROSS)gcc
endif
AR := $(CROSS)ar
prefix ?= /usr/local
bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man
unitdir ?= $(prefix)/lib/systemd/system
modeldir ?= $(prefix)/share/neap/models

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = $(if $(Q),@printf '  %-7s %s\n' '$(1)' '$(2)')

ARCH := $(shell $(CC) -dumpmachine | cut -d- -f1)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wundef -Wvla -Werror
CFLAGS ?= -O2 -g
NEAP_CPPFLAGS := -Iinclude -I. -I$(O)/gen -D_GNU_SOURCE -DNEAP_VERSION='"$(VERSION)"' \
	-DNEAP_MODEL_DIR='"$(modeldir)"'
NEAP_CFLAGS := -std=gnu11 $(WARN) -fno-math-errno -ffp-contract=off -fno-strict-aliasing \
	-fvisibility=hidden -MMD -MP -pthread
NEAP_LDFLAGS := -pthread -Wl,--as-needed
ifneq ($(SAN),)
NEAP_CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
NEAP_LDFLAGS += -fsanitize=$(SAN)
endif

# Libraries that serve one feature are optional: what is absent is left out, and said.
have = $(shell pkg-config --exists $(1) 2>/dev/null && echo yes)
ifeq ($(CROSS),)
define optional # name, pkg-config module, what is lost
ifeq ($$(call have,$(2)),yes)
HAVE_$(1) := yes
NEAP_CPPFLAGS += -DHAVE_$(1)=1
LIBS_$(1) := $$(shell pkg-config --libs $(2))
else
LEFT_OUT += $(2):$(3)
endif
endef
$(eval $(call optional,SNDFILE,sndfile,audio-data-sets))
$(eval $(call optional,ZLIB,zlib,gz-files))
$(eval $(call optional,LZMA,liblzma,xz-files))
$(eval $(call optional,SODIUM,libsodium,signatures))
$(eval $(call optional,NCURSES,ncursesw,neapctl-top-screen))
$(eval $(call optional,SYSTEMD,libsystemd,sd_notify-and-socket-activation))
$(eval $(call optional,URING,liburing,io_uring-loop))
$(eval $(call optional,OPENBLAS,openblas,neap-train))
$(eval $(call optional,PROTOBUFC,libprotobuf-c,onnx-import))
endif

find_c = $(sort $(shell find $(1) -name '*.c' 2>/dev/null))
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))

# ---- engine: libc and libm alone ----
ENGINE_SRC := $(filter-out engine/kernels/x86/% engine/kernels/arm/%,$(call find_c,engine))
ifneq ($(filter x86_64 i686,$(ARCH)),)
ENGINE_SRC += $(call find_c,engine/kernels/x86)
endif
ifneq ($(filter aarch64,$(ARCH)),)
ENGINE_SRC += $(call find_c,engine/kernels/arm)
endif
ENGINE_LIB := $(O)/lib/libneap-engine.a
ifeq ($(SAN),)
$(O)/obj/engine/%: NEAP_CFLAGS += -O3
else
# At -O1 the compiler takes intrinsics' arguments for used after their scope. What kernels read and
# write out of bounds is found by the guard pages of tests/kernels.
$(O)/obj/engine/kernels/%: NEAP_CFLAGS += $(if $(findstring address,$(SAN)),-fno-sanitize-address-use-after-scope)
endif
$(O)/obj/%_sse41.o: NEAP_CFLAGS += -msse4.1
$(O)/obj/%_avx2.o: NEAP_CFLAGS += -mavx2 -mfma
$(O)/obj/%_avxvnni.o: NEAP_CFLAGS += -mavx2 -mfma -mavxvnni
$(O)/obj/%_avx512vnni.o: NEAP_CFLAGS += -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl \
	-mavx512vnni -mprefer-vector-width=512
$(O)/obj/%_avx512vbmi.o: NEAP_CFLAGS += -mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512vbmi \
	-mprefer-vector-width=512
$(O)/obj/%_amx.o: NEAP_CFLAGS += -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl \
	-mavx512vnni -mamx-tile -mamx-int8 -mprefer-vector-width=512
$(O)/obj/%_dotprod.o: NEAP_CFLAGS += -march=armv8.2-a+dotprod

# ---- client library ----
CLIENT_SRC := $(call find_c,libclient)
CLIENT_A := $(O)/lib/libneap.a
CLIENT_SO := $(O)/lib/libneap.so.$(VERSION)
$(O)/obj/libclient/%: NEAP_CFLAGS += -fPIC

# ---- tool, daemon, neapctl: a library without main() for the tests, and the program ----
ONNX_PROTO ?= /usr/include/onnx/onnx.proto
TOOL_SRC := $(filter-out tools/neap/main.c,$(call find_c,tools/neap))
ifneq ($(HAVE_PROTOBUFC),yes)
TOOL_SRC := $(filter-out tools/neap/import/onnx% tools/neap/export/onnx%,$(TOOL_SRC))
endif
TOOL_LIB := $(O)/lib/libneap-tool.a
TOOL_LIBS := $(LIBS_SNDFILE) $(LIBS_ZLIB) $(LIBS_LZMA) $(LIBS_SODIUM) $(LIBS_OPENBLAS) \
	$(LIBS_PROTOBUFC) -linih -lcjson -lm
ifeq ($(HAVE_PROTOBUFC),yes)
GEN_OBJ := $(O)/obj/gen/onnx.pb-c.o
GEN_HDR := $(O)/gen/onnx.pb-c.h
endif
$(O)/obj/tools/neap/train/%: NEAP_CFLAGS += -O3
DAEMON_SRC := $(filter-out daemon/main.c,$(call find_c,daemon))
DAEMON_LIB := $(O)/lib/libneap-daemon.a
DAEMON_LIBS := $(LIBS_URING) $(LIBS_SYSTEMD) $(LIBS_SODIUM) -linih -lcjson -lm
CTL_SRC := $(filter-out tools/neapctl/main.c,$(call find_c,tools/neapctl))
CTL_LIB := $(O)/lib/libneap-ctl.a
CTL_LIBS := $(LIBS_NCURSES) -lcjson -lm

PROGRAMS := $(O)/bin/neap $(O)/bin/neapd $(O)/bin/neapctl

.PHONY: all
all: $(PROGRAMS) $(CLIENT_A) $(O)/lib/libneap.so
ifneq ($(LEFT_OUT),)
	@echo "left out (package absent: feature): $(LEFT_OUT)"
endif

$(O)/obj/gen/%.o: $(O)/gen/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -std=gnu11 -w -I$(O)/gen $(if $(SAN),-fsanitize=$(SAN)) -c -o $@ $<

$(O)/gen/onnx.pb-c.c $(O)/gen/onnx.pb-c.h &: $(ONNX_PROTO)
	@mkdir -p $(O)/gen
	$(call say,PROTOC,$<)
	$(Q)protoc-c --proto_path=$(dir $<) --c_out=$(O)/gen $(notdir $<)

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(NEAP_CPPFLAGS) $(CPPFLAGS) $(CFLAGS) $(NEAP_CFLAGS) -c -o $@ $<
$(call obj,$(call find_c,tools/neap/import tools/neap/export) $(wildcard tests/unit/test_onnx*.c)): | $(GEN_HDR)

define archive # file, sources, extra objects
$(1): $$(call obj,$(2)) $(3)
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(eval $(call archive,$(ENGINE_LIB),$(ENGINE_SRC),))
$(eval $(call archive,$(CLIENT_A),$(CLIENT_SRC),))
$(eval $(call archive,$(TOOL_LIB),$(TOOL_SRC),$(GEN_OBJ)))
$(eval $(call archive,$(DAEMON_LIB),$(DAEMON_SRC),))
$(eval $(call archive,$(CTL_LIB),$(CTL_SRC),))

$(CLIENT_SO): $(call obj,$(CLIENT_SRC)) libclient/libneap.map
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(NEAP_LDFLAGS) -shared -Wl,-soname,libneap.so.$(SOVERSION) \
		-Wl,--version-script=libclient/libneap.map -Wl,-z,defs -o $@ $(filter %.o,$^)
$(O)/lib/libneap.so: $(CLIENT_SO)
	$(Q)ln -sf $(notdir $<) $(O)/lib/libneap.so.$(SOVERSION)
	$(Q)ln -sf libneap.so.$(SOVERSION) $@

link = $(CC) $(CFLAGS) $(NEAP_LDFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)
$(O)/bin/neap: $(O)/obj/tools/neap/main.o $(TOOL_LIB) $(CLIENT_A) $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(TOOL_LIBS)
$(O)/bin/neapd: $(O)/obj/daemon/main.o $(DAEMON_LIB) $(ENGINE_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(DAEMON_LIBS)
$(O)/bin/neapctl: $(O)/obj/tools/neapctl/main.o $(CTL_LIB) $(CLIENT_A)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(link) $(CTL_LIBS)

include tests/tests.mk
include models/models.mk

# ---- people's targets ----
.PHONY: help setup install clean demo check bench lint fuzz tests
help:
	@echo 'make              build programs and libraries into $(O)/'
	@echo 'make demo         install what is needed, build, and show neapd adapting (2 minutes)'
	@echo 'make check        install what is needed, build, run every test'
	@echo 'make bench        print the figures, write $(O)/bench.json'
	@echo 'make bench-arm64  count the instructions of an inference on arm64'
	@echo 'make bench-peers  neap beside ONNX Runtime, XNNPACK and oneDNN: $(O)/bench-peers.json'
	@echo 'make lint         formatting, static analysis, layering (part of check)'
	@echo 'make check-kmod   the kernel module in a VM; also check-kmod-arm64, -debug, -later, -matrix'
	@echo 'make bench-kmod   the kernel module against memfds, in a VM'
	@echo 'make fuzz         long fuzzing runs (FUZZ_SECONDS=600 each)'
	@echo 'make tests        build the tests without running them'
	@echo 'make models       train the shipped models again from models/*.ini (about an hour)'
	@echo 'make install      DESTDIR, prefix=/usr/local; brings the systemd unit and socket'
	@echo 'make clean        remove $(O)/'
	@echo 'Variables: O= V=1 CC= SAN=address,undefined CROSS=aarch64-linux-gnu- NEAP_DATA='

setup:
	@packaging/setup build

demo:
	@packaging/setup build demo
	@$(MAKE) --no-print-directory -j$$(nproc) all $(O)/tests/demo
	@$(O)/tests/demo --build $(O) --models models --json $(O)/demo.json

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(sbindir) $(DESTDIR)$(libdir)/pkgconfig \
		$(DESTDIR)$(includedir)/neap $(DESTDIR)$(unitdir) $(DESTDIR)$(modeldir) \
		$(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man3 $(DESTDIR)$(mandir)/man4 \
		$(DESTDIR)$(mandir)/man8
	install -m755 $(O)/bin/neap $(O)/bin/neapctl $(DESTDIR)$(bindir)/
	install -m755 $(O)/bin/neapd $(DESTDIR)$(sbindir)/
	install -m644 $(CLIENT_A) $(DESTDIR)$(libdir)/
	install -m755 $(CLIENT_SO) $(DESTDIR)$(libdir)/
	ln -sf libneap.so.$(VERSION) $(DESTDIR)$(libdir)/libneap.so.$(SOVERSION)
	ln -sf libneap.so.$(SOVERSION) $(DESTDIR)$(libdir)/libneap.so
	install -m644 include/neap/neap.h $(DESTDIR)$(includedir)/neap/
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|' \
		-e 's|@version@|$(VERSION)|' libclient/neap.pc.in \
		> $(DESTDIR)$(libdir)/pkgconfig/neap.pc
	for f in packaging/systemd/neapd.service packaging/systemd/neapd.socket; do \
		sed -e 's|@sbindir@|$(sbindir)|; s|@modeldir@|$(modeldir)|' $$f \
		> $(DESTDIR)$(unitdir)/$$(basename $$f); done
	install -Dm644 packaging/sysusers.conf $(DESTDIR)$(prefix)/lib/sysusers.d/neap.conf
	install -Dm644 packaging/tmpfiles.conf $(DESTDIR)$(prefix)/lib/tmpfiles.d/neap.conf
	install -Dm644 packaging/udev.rules $(DESTDIR)$(prefix)/lib/udev/rules.d/60-neap.rules
	install -m644 $(wildcard models/*.neap) $(DESTDIR)$(modeldir)/
	for s in 1 3 4 8; do for f in docs/man/*.$$s; do [ -e $$f ] || continue; \
		install -m644 $$f $(DESTDIR)$(mandir)/man$$s/; done; done

clean:
	rm -rf $(O)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
