//! Files cut, grown, blanked, missing, exchanged, copied.

use tinystoredb::Error;
use tinystoredb::os::sim::CrashImage;

use crate::store::{Contents, Sample, closed, file, killed, open};

/// An error that says where the damage is, or one of the answers that are right.
fn refused_or(context: &str, image: &CrashImage, right: &[&Contents]) -> bool {
    match open(image) {
        Ok((contents, _)) => {
            assert!(right.contains(&&contents), "{context}: {contents:?}");
            false
        }
        Err(Error::Corrupt { file, .. }) => {
            assert!(file.ends_with(".bin"), "{context}: {file}");
            true
        }
        Err(Error::NotAStore { path, .. }) => {
            assert!(path.ends_with(".bin"), "{context}: {path}");
            true
        }
        Err(other) => panic!("{context}: {other:?}"),
    }
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".bin")
}

fn samples() -> [(&'static str, &'static Sample); 2] {
    [("closed", closed()), ("killed", killed())]
}

#[test]
fn every_length_that_a_file_is_cut_to_is_refused_or_does_not_matter() {
    for (what, sample) in samples() {
        for name in sample.names() {
            let step = if name == "RESERVE" { 4099 } else { 1 };
            for length in (0..sample.bytes(&name).len() as u64).step_by(step) {
                let image = sample.image.with_length(file(&name), length);
                let context = format!("{what}: {name} cut to {length}");
                let refused = refused_or(&context, &image, &[&sample.contents]);
                assert_eq!(refused, is_segment(&name), "{context}");
            }
        }
    }
}

#[test]
fn a_file_that_grew_is_refused_or_does_not_matter() {
    for (what, sample) in samples() {
        for name in sample.names() {
            let length = sample.bytes(&name).len() as u64;
            for more in (1..5000).step_by(7).chain([8 << 10, 1 << 20, 5 << 20]) {
                for filled in [false, true] {
                    let context = format!("{what}: {name} longer by {more}, filled: {filled}");
                    let image = if filled {
                        let bytes: Vec<u8> = (0..more).map(|n| n as u8 | 1).collect();
                        sample.image.with_bytes(file(&name), length, &bytes)
                    } else {
                        sample.image.with_length(file(&name), length + more)
                    };
                    let refused = refused_or(&context, &image, &[&sample.contents]);
                    // Grown to just what it was created with, it looks like one that was not cut yet.
                    let as_created = length + more == 8 << 10;
                    assert!(refused == is_segment(&name) || as_created, "{context}");
                }
            }
        }
    }
}

#[test]
fn a_segment_that_is_missing_is_refused_and_other_files_are_not_missed() {
    for (what, sample) in samples() {
        for name in sample.names() {
            let context = format!("{what}: without {name}");
            let refused = refused_or(&context, &sample.image.without(file(&name)), &[&sample.contents]);
            assert_eq!(refused, is_segment(&name), "{context}");
        }
    }
}

#[test]
fn two_files_exchanged_are_refused() {
    for (what, sample) in samples() {
        for one in sample.segments() {
            for other in sample.segments().into_iter().filter(|other| *other > one) {
                let exchanged = sample
                    .image
                    .without(file(&one))
                    .without(file(&other))
                    .with_bytes(file(&one), 0, &sample.bytes(&other))
                    .with_bytes(file(&other), 0, &sample.bytes(&one));
                assert!(refused_or(&format!("{what}: {one} and {other}"), &exchanged, &[]));
            }
        }
    }
}

#[test]
fn a_copy_of_a_segment_under_another_name_is_refused() {
    for (what, sample) in samples() {
        for name in sample.segments() {
            for number in 1..6 {
                let copy = format!("{number:08}.bin");
                if copy == name {
                    continue;
                }
                let image =
                    sample.image.without(file(&copy)).with_bytes(file(&copy), 0, &sample.bytes(&name));
                assert!(refused_or(&format!("{what}: {name} as {copy}"), &image, &[]));
            }
        }
    }
}

/// Where a blank reaches from some frame over all that follow it, nothing is left that could tell that there
/// was something. Whatever it leaves is a prefix.
#[test]
fn blank_pages_and_sectors_are_refused_unless_they_reach_to_the_end_of_the_log() {
    for (what, sample) in samples() {
        for name in sample.names() {
            for size in [512, 4096] {
                for fill in [0, 0xff] {
                    for at in (0..sample.bytes(&name).len()).step_by(size) {
                        let length = size.min(sample.bytes(&name).len() - at);
                        let image = sample.image.with_bytes(file(&name), at as u64, &vec![fill; length]);
                        let context = format!("{what}: {name}, {length} bytes of {fill:#x} at {at}");
                        let reaches = |last: &std::ops::Range<usize>| {
                            name == "00000003.bin" && at < last.end && at + length > last.start
                        };
                        let right: Vec<_> = if sample.last_commit.as_ref().is_some_and(reaches) {
                            sample.history.iter().collect()
                        } else {
                            vec![&sample.contents]
                        };
                        refused_or(&context, &image, &right);
                    }
                }
            }
        }
    }
}

/// As after an import of a stray copy: a file of an earlier time under its own name.
#[test]
fn an_earlier_state_of_a_segment_is_refused_where_a_later_one_names_it() {
    let (before, after) = (killed(), closed());
    // The closed store's first two segments are the killed one's; its third one is newer.
    for name in &after.segments()[..2] {
        let mut older = before.bytes(name);
        let cut = older.len() - 40;
        older.truncate(cut);
        let image = after.image.without(file(name)).with_bytes(file(name), 0, &older);
        assert!(refused_or(name, &image, &[]));
    }
}
