//! One record: any bytes, at any offset of any segment, as they are and with their checksum put right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinystoredb::log_format::{RECORD_HEADER_SIZE, Record, RecordHeader, SegmentHeader, padded};

fuzz_target!(|data: &[u8]| {
    let Some((front, rest)) = data.split_at_checked(24) else { return };
    let mut salt = [0; 16];
    salt.copy_from_slice(&front[..16]);
    let header = SegmentHeader { store_id: [0; 16], segment_id: 1, salt, capacity: 4 << 20 };
    let seed = header.seed();
    let offset = u64::from_le_bytes(front[16..24].try_into().unwrap()) & !7;

    let mut bytes = rest.to_vec();
    if let Some(record) = Record::verify(&bytes, seed, offset) {
        assert_eq!(Record::parse(&bytes), Some(record));
    }
    let Some(header) = Record::parse(&bytes).map(|record| record.header) else { return };
    assert_eq!(header.encode(), bytes[..RECORD_HEADER_SIZE]);

    let checksum = seed.checksum(offset, &[&bytes[4..header.length as usize]]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    let record = Record::verify(&bytes, seed, offset).unwrap();
    assert_eq!(RecordHeader { checksum: header.checksum, ..record.header }, header);
    let expiry = if record.expiry.is_some() { 8 } else { 0 };
    assert_eq!(RECORD_HEADER_SIZE + expiry + record.key.len() + record.value.len(), header.length as usize);
    let _ = (record.value_type(), header.synced_lsn());

    // Whatever it says of itself: the records of a batch lie inside it, one behind the other.
    let mut end = 0;
    for (number, element) in record.batch().enumerate() {
        let Some((distance, element)) = element else { break };
        assert!(distance >= end && distance + u64::from(element.header.length) <= u64::from(header.length));
        assert_eq!(u64::from(element.header.extra), number as u64);
        end = distance + padded(u64::from(element.header.length));
    }
});
