//! The whole interface against a plain ordered map with every version of every key: random operations on
//! both, on a simulated disk with a clock of its own, must answer the same, before and after crashes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

#[path = "model/bench.rs"]
mod bench;
#[path = "model/crashes.rs"]
mod crashes;
#[path = "model/map.rs"]
mod map;
#[path = "model/operation.rs"]
mod operation;
#[path = "model/regressions.rs"]
mod regressions;
#[path = "model/scans.rs"]
mod scans;
#[path = "model/transactions.rs"]
mod transactions;
#[path = "model/writes.rs"]
mod writes;

use std::cell::Cell;
use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use bench::execute;

/// Operations of one run at most.
const LENGTH: usize = 400;
/// Runs from one seed.
const RUNS: u32 = 32;
/// Operations of the test, unless TSTORE_MODEL_OPERATIONS says otherwise.
const OPERATIONS: u64 = 150_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// As many operations as TSTORE_MODEL_OPERATIONS says, from the seed TSTORE_TORTURE_SEED on. Seeds follow each
/// other; each gives the same runs again.
#[test]
fn every_operation_answers_as_a_map_with_versions_does_before_and_after_crashes() {
    let operations = number("TSTORE_MODEL_OPERATIONS").unwrap_or(OPERATIONS);
    let first = number("TSTORE_TORTURE_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let (start, done) = (Instant::now(), Cell::new(0));
    let mut seed = first;
    println!("model: from seed {first}");
    while done.get() < operations {
        let config =
            Config { cases: RUNS, failure_persistence: None, max_shrink_iters: 200_000, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let outcome = runner.run(&operation::run(LENGTH), |run| {
            done.set(done.get() + run.operations.len() as u64);
            execute(&run).map_err(TestCaseError::fail)
        });
        let again = format!("TSTORE_TORTURE_SEED={seed} TSTORE_MODEL_OPERATIONS=1");
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, run)) => {
                let operations = run.operations.iter().map(|operation| format!("    {operation:?}\n"));
                let operations: String = operations.collect();
                let (mode, pwrite, disk) = (run.sync_mode, run.pwrite, run.seed);
                panic!("{again}\n{reason}\n{mode:?}, pwrite {pwrite}, disk {disk}\n{operations}");
            }
            Err(failure) => panic!("{again}: {failure}"),
        }
        seed += 1;
    }
    let (done, seconds) = (done.get(), start.elapsed().as_secs_f64());
    println!("model: {done} operations in {seconds:.1} s, seeds {first} to {}", seed - 1);
}
