# make fuzz: the fuzz targets under AddressSanitizer. Part of the Makefile. See fuzz/README.md.
#
#   make fuzz                                      every target for a minute
#   make fuzz FUZZ_TARGET=store FUZZ_SECONDS=600   one target for ten
#   make fuzz-replay                               every kept input once, leaks looked for
#   make fuzz-replay FUZZ_INPUT=file FUZZ_TARGET=store

FUZZ_TARGET ?= record segment store import typed
FUZZ_SECONDS ?= 60
FUZZ_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/fuzz
FUZZ_HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
FUZZ_BIN := $(FUZZ_DIR)/$(FUZZ_HOST)/release

# The stable compiler has the sanitizer and the coverage counters too, behind switches that it otherwise keeps
# to nightly releases. What is built here is never installed.
FUZZ_FLAGS := -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing

.PHONY: fuzz fuzz-build fuzz-replay

fuzz-build:
	@RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --manifest-path fuzz/Cargo.toml \
	  --target-dir $(FUZZ_DIR) --target $(FUZZ_HOST)

# Leaks are looked for by the replay: looking after each input would take nearly all the time.
fuzz: fuzz-build
	@for target in $(FUZZ_TARGET); do \
	  echo "== $$target for $(FUZZ_SECONDS) s"; \
	  mkdir -p $(FUZZ_DIR)/corpus/$$target; \
	  nice -n 19 $(FUZZ_BIN)/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 \
	    -max_len=16384 -detect_leaks=0 -print_final_stats=1 -artifact_prefix=$(FUZZ_DIR)/$$target- \
	    $(FUZZ_DIR)/corpus/$$target fuzz/corpus/$$target || exit 1; \
	done

fuzz-replay: fuzz-build
	@for target in $(FUZZ_TARGET); do \
	  $(FUZZ_BIN)/$$target -timeout=20 -rss_limit_mb=2048 $(or $(FUZZ_INPUT),fuzz/corpus/$$target/*) || exit 1; \
	done
