//! Bugs that a test plants to see that the suites find them: each is one of the mistakes that the rules of
//! the log, and of reading what others change, exist to prevent, and stands as one short condition at the
//! place where it would be made.
//!
//! Without the feature `planted` every condition is the constant `false` and nothing of it is compiled.
//!
//! Callers: `log` and `store` ask; `tests/planted.rs` and `tests/planted_reads.rs` plant.

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[cfg_attr(not(feature = "planted"), allow(dead_code, reason = "some are asked about only with the feature"))]
pub enum Bug {
    /// A commit that waits is acknowledged without a sync.
    SkipCommitSync = 1,
    /// The store does not wait for the log's sync.
    AcknowledgeEarly,
    /// How far the log is written is read after the sync instead of before.
    TargetAfterSync,
    /// What is acknowledged in a new segment does not wait for the one before it.
    ForgetFullSegments,
    /// A failed sync leaves the store open for writes.
    DoNotPoison,
    /// A failed sync is tried again, and believed.
    RetryFailedSync,
    /// A commit is visible before it is durable.
    VisibleEarly,
    /// "It is not there" is answered before the delete that removed it is durable.
    AnswerEarly,
    /// Frames say that everything before them is durable.
    ClaimWritten,
    /// A segment gets its name before its header is on the device.
    SkipHeaderSync,
    /// A segment takes frames before its name is durable.
    SkipDirectorySync,
    /// The witness is never told of a new segment.
    SkipWitness,
    /// The witness names a segment before there is one.
    WitnessBeforeName,
    /// A mapping is stored to without its pages having been made present.
    SkipPopulate,
    /// A segment is filled to the last byte, without room for its seal.
    NoRoomForSeal,
    /// A full segment is cut to its end before its bytes are synced.
    CutBeforeSync,
    /// Checksums are the same in every segment.
    DropSalt,
    /// Checksums are the same at every offset.
    DropOffset,
    /// Segments are read in another order than that of their numbers.
    OrderByFile,
    /// Recovery uses a frame before its checksum has passed.
    SkipFrameCheck,
    /// Recovery keeps the whole records of a torn batch.
    KeepPartialBatch,
    /// Recovery takes frames whose numbers do not follow.
    IgnoreLsn,
    /// Recovery does not look at what a segment says of its predecessor.
    IgnoreChain,
    /// Recovery does not mind that a file was shortened.
    IgnoreLength,
    /// Whatever is invalid is a torn tail.
    NeverDamage,
    /// Whatever is invalid is damage.
    AlwaysDamage,
    /// A record inside a torn batch counts as a frame that proves something durable.
    ElementsProve,
    /// Recovery leaves a torn tail as it is and goes on in the next segment.
    LeaveTail,
    /// Recovery goes on writing in the segment with the torn tail.
    AppendAfterTornTail,
    /// Recovery writes the seal, which says that what is before it is durable, before it is.
    SealBeforeSync,
    /// Recovery serves what it read without syncing it.
    ServeUnsynced,
    /// Recovery takes the kernel's word that bytes after a failed sync are on the device.
    TrustFailedSync,
    /// Recovery removes segments oldest first.
    RemoveOldestFirst,
    /// Recovery removes segments without syncing the directory.
    SkipRemovalSync,
    /// Recovery removes a segment before the witness stops naming it.
    LowerWitnessLate,
    /// The name of LOCK is taken for durable because its content is there.
    TrustLockName,
    /// A snapshot registers after it has read the mark.
    RegisterLate,
    /// Versions are dropped though a snapshot needs them.
    DropNeeded,
    /// A snapshot does not look at the version that it keeps itself.
    IgnoreKept,
    /// A transaction checks the keys that it read, and not the ranges.
    CheckKeysOnly,
    /// A transaction checks before it takes the append lock, and not again.
    CheckBeforeLock,
    /// A deletion of a range stops at a key whose last change is not visible yet.
    StopAtPending,
    /// What a snapshot sees as expired goes by the clock now.
    ExpireByNow,
    /// A batch becomes visible one change after the other.
    PieceByPiece,
    /// What a snapshot kept is not given back when it ends.
    NeverRelease,
    /// A scan that goes on behind its end has read only up to there.
    ForgetEnd,
    /// What is answered rests on a commit that whoever asked does not see yet.
    AnswerUnseen,
}

impl Bug {
    /// Every one that breaks a rule of the log.
    #[cfg(feature = "planted")]
    pub const ALL: [Bug; 36] = [
        Bug::SkipCommitSync,
        Bug::AcknowledgeEarly,
        Bug::TargetAfterSync,
        Bug::ForgetFullSegments,
        Bug::DoNotPoison,
        Bug::RetryFailedSync,
        Bug::VisibleEarly,
        Bug::AnswerEarly,
        Bug::ClaimWritten,
        Bug::SkipHeaderSync,
        Bug::SkipDirectorySync,
        Bug::SkipWitness,
        Bug::WitnessBeforeName,
        Bug::SkipPopulate,
        Bug::NoRoomForSeal,
        Bug::CutBeforeSync,
        Bug::DropSalt,
        Bug::DropOffset,
        Bug::OrderByFile,
        Bug::SkipFrameCheck,
        Bug::KeepPartialBatch,
        Bug::IgnoreLsn,
        Bug::IgnoreChain,
        Bug::IgnoreLength,
        Bug::NeverDamage,
        Bug::AlwaysDamage,
        Bug::ElementsProve,
        Bug::LeaveTail,
        Bug::AppendAfterTornTail,
        Bug::SealBeforeSync,
        Bug::ServeUnsynced,
        Bug::TrustFailedSync,
        Bug::RemoveOldestFirst,
        Bug::SkipRemovalSync,
        Bug::LowerWitnessLate,
        Bug::TrustLockName,
    ];

    /// Every one that breaks a rule of reading what others change.
    #[cfg(feature = "planted")]
    pub const READS: [Bug; 11] = [
        Bug::RegisterLate,
        Bug::DropNeeded,
        Bug::IgnoreKept,
        Bug::CheckKeysOnly,
        Bug::CheckBeforeLock,
        Bug::StopAtPending,
        Bug::ExpireByNow,
        Bug::PieceByPiece,
        Bug::NeverRelease,
        Bug::ForgetEnd,
        Bug::AnswerUnseen,
    ];
}

/// Whether `bug` is planted.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub(crate) const fn planted(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether `bug` is planted.
#[cfg(feature = "planted")]
pub(crate) fn planted(bug: Bug) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Plants `bug` in this process, in place of the one before, or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
}
