//! GOB, Go's own encoding, as far as the Go store used it: one message that holds one string.
//!
//! A message is: its length, the type id 6 (string) as a zig-zag integer (the byte 12), a 0 byte, the
//! string's length, the string. Lengths are GOB unsigned integers: up to 127 one byte; above, a byte with
//! the negated number of bytes, then these bytes in big-endian order, without leading zeros.
//!
//! Go's encoder has one way to write a string, so exactly that way is accepted. Bytes only: nothing here
//! reads a file. Callers: `go`.

/// Longest header: a message in the Go store has less than 2^32 bytes.
pub(super) const HEADER_SIZE_MAX: usize = 12;

const STRING: u8 = 12;

/// What stands before a string.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the header itself.
    pub size: usize,
    /// Bytes of the string, which is the rest of the message.
    pub string_size: u32,
}

/// Reads the header of a message that has `message_size` bytes in all; `head` holds the first ones of
/// them, up to [`HEADER_SIZE_MAX`]. An error is the reason in words.
pub(super) fn parse_header(head: &[u8], message_size: u32) -> Result<Header, String> {
    let mut rest = head;
    let announced = unsigned(&mut rest)?;
    let following = message_size - (head.len() - rest.len()) as u32;
    if announced != following {
        return Err(format!("the GOB message announces {announced} bytes where {following} follow"));
    }
    match byte(&mut rest)? {
        STRING => {}
        other => return Err(format!("the GOB message holds type {other} instead of a string (12)")),
    }
    match byte(&mut rest)? {
        0 => {}
        other => return Err(format!("the GOB message has {other} where a string has 0")),
    }
    let string_size = unsigned(&mut rest)?;
    let size = head.len() - rest.len();
    let following = message_size - size as u32;
    if string_size != following {
        return Err(format!("the GOB string announces {string_size} bytes where {following} follow"));
    }
    Ok(Header { size, string_size })
}

fn byte(rest: &mut &[u8]) -> Result<u8, String> {
    let (first, after) = rest.split_first().ok_or("the GOB message ends inside its header")?;
    *rest = after;
    Ok(*first)
}

fn unsigned(rest: &mut &[u8]) -> Result<u32, String> {
    let first = byte(rest)?;
    if first < 128 {
        return Ok(u32::from(first));
    }
    let size = first.wrapping_neg();
    if size > 4 {
        return Err(format!("a GOB length of {size} bytes is longer than any message"));
    }
    let mut value = 0;
    for _ in 0..size {
        value = value << 8 | u32::from(byte(rest)?);
    }
    let shortest = if value < 128 { 0 } else { 4 - value.leading_zeros() / 8 };
    if u32::from(size) != shortest {
        return Err("a GOB length is not in its shortest form".to_string());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_go_stores_own_bytes_are_read() {
        assert_eq!(parse_header(b"\x07\x0c\x00\x04key0", 8), Ok(Header { size: 4, string_size: 4 }));
        assert_eq!(parse_header(b"\x03\x0c\x00\x00", 4), Ok(Header { size: 4, string_size: 0 }));
        // 125 bytes are 128 with type and length: the message's length takes two bytes, the string's one.
        let head = b"\xff\x80\x0c\x00\x7dvvvvvvv";
        assert_eq!(parse_header(head, 130), Ok(Header { size: 5, string_size: 125 }));
        let head = b"\xfd\x01\x00\x06\x0c\x00\xfd\x01\x00\x00dd";
        assert_eq!(parse_header(head, 4 + 65_542), Ok(Header { size: 10, string_size: 65_536 }));
        let head = b"\xfc\xff\xff\xff\xfa\x0c\x00\xfc\xff\xff\xff\xf3";
        assert_eq!(parse_header(head, u32::MAX), Ok(Header { size: 12, string_size: u32::MAX - 12 }));
    }

    #[test]
    fn every_other_header_is_refused() {
        let cases: [(&[u8], u32, &str); 11] = [
            (b"", 0, "ends inside"),
            (b"\x03\x0c\x00", 3, "announces 3 bytes where 2 follow"),
            (b"\x02\x0c\x00", 3, "ends inside"),
            (b"\x07\x0c\x00\x04key", 7, "announces 7 bytes where 6 follow"),
            (b"\x07\x0a\x00\x04key0", 8, "type 10"),
            (b"\x07\x0c\x01\x04key0", 8, "where a string has 0"),
            (b"\x07\x0c\x00\x03key0", 8, "announces 3 bytes where 4 follow"),
            (b"\xff\x07\x0c\x00\x04key0", 9, "shortest form"),
            (b"\xfe\x00\x80\x0c\x00\x7c", 131, "shortest form"),
            (b"\xf8\x00\x00\x00\x00\x00\x00\x00\x07", 9, "8 bytes is longer"),
            (b"\x80", 1, "128 bytes is longer"),
        ];
        for (head, message_size, reason) in cases {
            let refused = parse_header(head, message_size).unwrap_err();
            assert!(refused.contains(reason), "{head:02x?}: {refused}");
        }
    }
}
