//! The planted bugs of recovery that take more than a condition.
//!
//! Callers: `recovery`, with the feature `planted`.

use std::sync::Arc;

use super::{Scan, Scanned, Visit, unpublished};
use crate::error::{Error, Result};
use crate::log::format::{Kind, Record};
use crate::log::writer::Writer;
use crate::log::{Log, Replayed};

/// Takes the whole records of a batch whose frame does not check out.
pub(super) fn keep_partial_batch(
    scan: &mut Scan<'_>,
    scanned: &mut Scanned,
    visit: &mut Visit<'_>,
) -> Result<bool> {
    let segment = &Arc::clone(&scanned.segment);
    let bytes = unpublished(segment.map(), scanned.end, scanned.size).unwrap_or_default();
    let Some(batch) = Record::parse(bytes).filter(|record| {
        record.header.kind == Kind::Batch
            && !record.header.is_element()
            && record.header.lsn == scan.next_lsn
            && scanned.end + record.header.padded_length() <= scanned.size
    }) else {
        return Ok(false);
    };
    let mut kept = Vec::new();
    for (distance, element) in batch.batch().flatten() {
        let whole = bytes.get(distance as usize..);
        if whole.is_some_and(|whole| Record::verify(whole, segment.seed(), scanned.end + distance).is_some())
        {
            kept.push((segment.position(scanned.end + distance)?, element));
        }
    }
    if kept.is_empty() {
        return Ok(false);
    }
    scanned.end += batch.header.padded_length();
    segment.publish(scanned.end);
    for (position, record) in kept {
        visit(scan.log, Replayed { record, position })?;
    }
    scan.next_lsn += batch.batch().left();
    scanned.checksum = batch.header.checksum;
    Ok(true)
}

/// Goes on writing where the valid part of the last segment ends.
pub(super) fn append_after_torn_tail(log: &Log, last: &Scanned, writer: Writer) -> Result<Writer> {
    let segment = &last.segment;
    segment.file()?.ok_or(Error::Closed)?.sync_data()?;
    log.commit.enter(segment)?;
    Ok(writer.resume(Arc::clone(segment), last.capacity))
}
