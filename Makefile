# TinyStoreDB: the library, the demonstration, the tests, the installation. GNU make; `make help` lists the goals.

CARGO ?= cargo
PREFIX ?= /usr/local
LIBDIR ?= lib
INCLUDEDIR ?= include
DESTDIR ?=
CFLAGS ?= -O2

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI := $(word 1,$(subst ., ,$(VERSION))).$(word 2,$(subst ., ,$(VERSION)))
TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
SYSTEM := $(shell uname -s)

# What a program linked with libtinystoredb.a needs (rustc --print native-static-libs; a test compares them).
NATIVE_LIBS_Linux := -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
NATIVE_LIBS_Darwin := -liconv -lSystem -lc -lm
NATIVE_LIBS := $(NATIVE_LIBS_$(SYSTEM))

# Names of the shared library: the file that cargo makes, the file itself, what programs look for, what they link.
ifeq ($(SYSTEM),Darwin)
SHARED := libtinystoredb.dylib
SHARED_FILE := libtinystoredb.$(VERSION).dylib
SHARED_ABI := libtinystoredb.$(ABI).dylib
RPATH := -Wl,-rpath,@loader_path/../lib
else
SHARED := libtinystoredb.so
SHARED_FILE := libtinystoredb.so.$(VERSION)
SHARED_ABI := libtinystoredb.so.$(ABI)
RPATH := -Wl,-rpath,'$$ORIGIN/../lib'
endif

STRICT := -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Werror
LIBRARIES := build/lib/$(SHARED) build/lib/libtinystoredb.a

.PHONY: all lib demo test explore bench header install clean help tools-lib tools-demo tools-test FORCE

all: lib

help:
	@echo "make lib       the shared and the static library, in build/lib (the default)"
	@echo "make demo      builds the examples and shows what the store does"
	@echo "make test      everything that must pass"
	@echo "make explore   the schedules that loom and shuttle find"
	@echo "make bench     the benchmarks"
	@echo "make fuzz      inputs that a fuzzer finds, a minute for each target (see fuzz/README.md)"
	@echo "make sanitize  what runs many threads, under AddressSanitizer and ThreadSanitizer"
	@echo "make header    writes include/tinystoredb.h anew from src/ffi"
	@echo "make install   into PREFIX=$(PREFIX), below DESTDIR=$(DESTDIR)"
	@echo "make clean     removes build and what cargo built"

# One line for each tool that is missing. $(1): the command; $(2): what to do.
need = command -v $(firstword $(1)) >/dev/null 2>&1 || { echo "missing: $(1): $(2)" >&2; missing=1; };
NEED_CARGO = $(call need,$(CARGO),install Rust 1.88 or later (https://rustup.rs))
NEED_CC = $(call need,$(CC),install a C compiler or name yours with CC=...)
NEED_CXX = $(call need,$(CXX),install a C++ compiler or name yours with CXX=...)

tools-lib:
	@missing=; $(NEED_CARGO) test -z "$$missing"

tools-demo:
	@missing=; $(NEED_CARGO) $(NEED_CC) test -z "$$missing"

tools-test:
	@missing=; $(NEED_CARGO) $(NEED_CC) $(NEED_CXX) \
	$(call need,cargo-fmt,rustup component add rustfmt) \
	$(call need,cargo-clippy,rustup component add clippy) \
	test -z "$$missing"

lib: $(LIBRARIES)

# Naming the kinds of library that C needs leaves out the rlib, with which cargo would silently drop the link-time
# optimisation that the release profile asks for.
$(TARGET_DIR)/release/libtinystoredb.a: tools-lib FORCE
	@$(CARGO) rustc --release --lib --crate-type cdylib --crate-type staticlib

build/lib/libtinystoredb.a: $(TARGET_DIR)/release/libtinystoredb.a
	@mkdir -p build/lib
	@cp -p $(TARGET_DIR)/release/libtinystoredb.a $@

build/lib/$(SHARED): $(TARGET_DIR)/release/libtinystoredb.a
	@mkdir -p build/lib
	@rm -f build/lib/$(SHARED_FILE)
	@cp -p $(TARGET_DIR)/release/$(SHARED) build/lib/$(SHARED_FILE)
	@ln -sf $(SHARED_FILE) build/lib/$(SHARED_ABI)
	@ln -sf $(SHARED_ABI) $@

build/bin/quickstart-shared: c_examples/01_quickstart.c include/tinystoredb.h $(LIBRARIES)
build/bin/quickstart-static: c_examples/01_quickstart.c include/tinystoredb.h $(LIBRARIES)
build/bin/tstore: c_examples/tstore.c include/tinystoredb.h $(LIBRARIES)

build/bin/%-static:
	@mkdir -p build/bin
	$(CC) $(STRICT) $(CFLAGS) -Iinclude $< build/lib/libtinystoredb.a $(NATIVE_LIBS) -o $@

build/bin/%:
	@mkdir -p build/bin
	$(CC) $(STRICT) $(CFLAGS) -Iinclude $< -Lbuild/lib -ltinystoredb $(RPATH) -o $@

demo: tools-demo
	@$(MAKE) --no-print-directory build/bin/quickstart-shared build/bin/quickstart-static build/bin/tstore
	@sh c_examples/demo.sh build/bin tests/fixtures/legacy/demo.bin

test: tools-test
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings
	$(CARGO) test
	$(CARGO) test --features planted --test planted --test planted_reads

# Every order that loom finds in the models, and some thousand schedules of each of shuttle's scenarios.
explore: tools-lib
	RUSTFLAGS="--cfg loom" $(CARGO) test --lib --target-dir $(TARGET_DIR)/loom -- --nocapture \
	  loom:: log::group_commit log::segment
	RUSTFLAGS="--cfg shuttle" $(CARGO) test --lib --target-dir $(TARGET_DIR)/shuttle -- --nocapture shuttle::

bench: tools-lib
	$(CARGO) bench --bench compare

header: tools-lib
	TSTORE_BLESS=1 $(CARGO) test --quiet --test header

# The files of the installation find each other by their places, so the tree may be moved.
LIB_DEST = $(DESTDIR)$(PREFIX)/$(LIBDIR)
up = $(subst $() ,,$(foreach part,$(subst /, ,$(1)),../))

# A library that running programs have mapped must be replaced, never overwritten: install does that, cp does not.
install: lib
	@mkdir -p $(LIB_DEST)/pkgconfig $(LIB_DEST)/cmake/TinyStoreDB $(DESTDIR)$(PREFIX)/$(INCLUDEDIR)
	@install -m 644 include/tinystoredb.h include/tinystoredb.hpp $(DESTDIR)$(PREFIX)/$(INCLUDEDIR)/
	@install -m 644 build/lib/libtinystoredb.a $(LIB_DEST)/
	@install -m 755 build/lib/$(SHARED_FILE) $(LIB_DEST)/
	@ln -sf $(SHARED_FILE) $(LIB_DEST)/$(SHARED_ABI)
	@ln -sf $(SHARED_ABI) $(LIB_DEST)/$(SHARED)
	@install -m 644 packaging/cmake/*.cmake $(LIB_DEST)/cmake/TinyStoreDB/
	@sed -e 's|@VERSION@|$(VERSION)|; s|@UP@|$(call up,$(LIBDIR)/pkgconfig)|; s|@LIBDIR@|$(LIBDIR)|' \
	    -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@NATIVE_LIBS@|$(NATIVE_LIBS)|' \
	    packaging/tinystoredb.pc.in > $(LIB_DEST)/pkgconfig/tinystoredb.pc
	@echo "installed TinyStoreDB $(VERSION) into $(DESTDIR)$(PREFIX)"

include torture.mk

clean:
	@rm -rf build
	@$(CARGO) clean --quiet

include sanitize.mk
-include fuzz/fuzz.mk
