# make torture: the suites of make test, for as long as it takes to trust them. Part of the Makefile; works alone too.
#
#   make torture                                   all campaigns, one after the other, and a summary
#   make torture TORTURE="kills cuts"              some of them
#   make torture TORTURE_KILLS=100000              a longer one
#   make torture-cuts                              one of them, with its output
#
# A campaign that fails does not stop the others. docs/testing.md says what each one proves.

CARGO ?= cargo

TORTURE ?= images model histories kills cuts faults planted schedules
# Different crash images on the simulated disk, and how many processes share them.
TORTURE_IMAGES ?= 10000000
TORTURE_JOBS ?= $(shell nproc 2>/dev/null || echo 1)
# Operations on a store and on its model at once, shared by as many processes.
TORTURE_OPERATIONS ?= 100000000
# Histories of threads of each kind, shared by as many processes.
TORTURE_HISTORIES ?= 20000
# Processes killed.
TORTURE_KILLS ?= 20000
# Power cuts of a loop-mounted ext4; skipped, with the reason, where that takes more than the user may do.
TORTURE_CUTS ?= 1000
# Schedules of each scenario in which threads use the store.
TORTURE_SCHEDULES ?= 1000000
# Where the random campaigns begin. Empty: the suites choose, and print it.
TORTURE_SEED ?= $(TSTORE_TORTURE_SEED)
# One file of output for each campaign.
TORTURE_LOGS ?= build/torture

TORTURE_TEST := $(CARGO) test --release --quiet
export TSTORE_TORTURE_SEED := $(TORTURE_SEED)
ifeq ($(TORTURE_SEED),)
unexport TSTORE_TORTURE_SEED
endif

.PHONY: torture torture-images torture-model torture-histories torture-kills torture-cuts torture-faults torture-planted
.PHONY: torture-schedules

torture:
	@mkdir -p $(TORTURE_LOGS); failed=; \
	for campaign in $(TORTURE); do \
	    log=$(TORTURE_LOGS)/$$campaign.log; start=$$(date +%s); \
	    echo "torture: $$campaign, output in $$log"; \
	    if $(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) torture-$$campaign > $$log 2>&1; then outcome=passed; \
	    else outcome=FAILED; failed="$$failed $$campaign"; fi; \
	    echo "torture: $$campaign $$outcome after $$(($$(date +%s) - start)) s"; \
	    grep -E 'images per second|schedules per second|TSTORE_REPLAY_SCHEDULE|^model: |^histories of |kills of|cuts:|SKIPPED|NOT FOUND|TSTORE_REPLAY=|panicked at|^test result' $$log | sed 's/^/    /'; \
	done; \
	test -z "$$failed" || { echo "torture: failed:$$failed" >&2; exit 1; }

# Several processes begin at seeds that are far apart; what they print adds up. $(1): the variable that says how
# much; $(2): how much in all; $(3): what follows `cargo test`.
share = jobs=$(TORTURE_JOBS); pids=; failed=; \
	for job in $$(seq $$jobs); do \
	    $(1)=$$((($(2) + jobs - 1) / jobs)) \
	    TSTORE_TORTURE_SEED=$$(($(if $(TORTURE_SEED),$(TORTURE_SEED),1) + job * 1000000)) \
	    $(TORTURE_TEST) $(3) --nocapture & pids="$$pids $$!"; \
	done; \
	for pid in $$pids; do wait $$pid || failed=1; done; \
	test -z "$$failed"

torture-images:
	$(TORTURE_TEST) --test crash --no-run
	@$(call share,TSTORE_TORTURE_IMAGES,$(TORTURE_IMAGES),--test crash -- --exact torture)

torture-model:
	$(TORTURE_TEST) --test model --no-run
	@$(call share,TSTORE_MODEL_OPERATIONS,$(TORTURE_OPERATIONS),--test model --)

torture-histories:
	$(TORTURE_TEST) --test histories --no-run
	@$(call share,TSTORE_HISTORIES,$(TORTURE_HISTORIES),--test histories --)

torture-kills:
	TSTORE_TORTURE_KILLS=$(TORTURE_KILLS) $(TORTURE_TEST) --test kill -- --nocapture

torture-cuts:
	TSTORE_TORTURE_CUTS=$(TORTURE_CUTS) $(TORTURE_TEST) --test power_cut -- --nocapture

torture-faults:
	$(TORTURE_TEST) --test faults -- --nocapture

torture-planted:
	$(TORTURE_TEST) --features planted --test planted --test planted_reads -- --nocapture

# Its own build, the one that `make explore` uses.
torture-schedules:
	TSTORE_TORTURE_SCHEDULES=$(TORTURE_SCHEDULES) RUSTFLAGS="--cfg shuttle" $(CARGO) test --quiet --lib \
	  --target-dir $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/shuttle -- --nocapture shuttle::
