# make sanitize: the tests that run many threads, under AddressSanitizer and then under ThreadSanitizer. Part of the
# Makefile.
#
#   make sanitize                                      both
#   make sanitize-thread SANITIZE_OPERATIONS=20000     one of them, for longer

SANITIZE_OPERATIONS ?= 1000
SANITIZE_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
SANITIZE_HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# Tests whose threads are not joined one by one are left out for threads: how a scope waits is not seen either.
# What the test harness, which is part of the library that is not instrumented, does with its own results.
SANITIZE_SUPPRESSED := race:CompletedTest
SANITIZE_TESTS = TSTORE_STRESS_OPERATIONS=$(SANITIZE_OPERATIONS) cargo test --quiet --target $(SANITIZE_HOST)

# The stable compiler has the sanitizers too, behind switches that it otherwise keeps to nightly releases.
SANITIZE_ADDRESS := -Zsanitizer=address
# The standard library is not instrumented, which has to be allowed; src/sync/tsan.rs makes up for it.
SANITIZE_THREAD := -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg tsan

.PHONY: sanitize sanitize-address sanitize-thread

sanitize: sanitize-address sanitize-thread

sanitize-address: export RUSTFLAGS = $(SANITIZE_ADDRESS)
sanitize-address: export RUSTC_BOOTSTRAP = 1
sanitize-address:
	$(SANITIZE_TESTS) --target-dir $(SANITIZE_DIR)/address --lib index::tests::threads
	$(SANITIZE_TESTS) --target-dir $(SANITIZE_DIR)/address --test store --test stress --test snapshots

sanitize-thread: export TSAN_OPTIONS = suppressions=$(abspath $(SANITIZE_DIR))/thread/suppressions
sanitize-thread: export RUSTFLAGS = $(SANITIZE_THREAD)
sanitize-thread: export RUSTC_BOOTSTRAP = 1
sanitize-thread:
	@mkdir -p $(SANITIZE_DIR)/thread && echo $(SANITIZE_SUPPRESSED) > $(SANITIZE_DIR)/thread/suppressions
	$(SANITIZE_TESTS) --target-dir $(SANITIZE_DIR)/thread --lib index::tests::threads
	$(SANITIZE_TESTS) --target-dir $(SANITIZE_DIR)/thread --test stress --test snapshots
