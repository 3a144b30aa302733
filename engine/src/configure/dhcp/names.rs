//! Domain names in DHCP options: as text (option 15), and in DNS encoding (option 119, RFC 3397).

use alloc::string::String;
use alloc::vec::Vec;

use super::lease::MOST;

/// The maximum length of a label, and of a name on the wire (RFC 1035 section 2.3.4). As text, without the root, a name
/// is two bytes shorter.
const LABEL: usize = 63;
const NAME: usize = 255;

/// Parses a name in text form (RFC 2132 section 3.17); `None` if no host can have it. Some servers append zero bytes or
/// the final dot of the root.
pub(super) fn domain(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|byte| *byte != 0)?;
    let text = text.get(..=end)?;
    let text = text.strip_suffix(b".").unwrap_or(text);
    if text.len() > NAME - 2 || !text.split(|byte| *byte == b'.').all(is_label) {
        return None;
    }
    Some(text.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect())
}

/// Parses a search list: at most [`MOST`] names, without those that no host can have. Parsing ends at a malformed name.
pub(in crate::configure) fn search_list(data: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut at = 0;
    for _ in 0..MOST {
        let Some((text, next)) = expand(data, at) else { break };
        if let Some(name) = domain(&text).filter(|name| !names.contains(name)) {
            names.push(name);
        }
        at = next;
    }
    names
}

/// The name that begins at an offset, as text, and the offset of the next name (RFC 1035 section 4.1.4); `None` if the
/// name is malformed or truncated. A pointer must point before the name or pointer that leads to it, so that expansion
/// ends.
fn expand(data: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut text, mut at, mut before, mut next) = (Vec::new(), start, start, None);
    loop {
        let length = usize::from(*data.get(at)?);
        match length >> 6 {
            0 if length == 0 => return Some((text, next.unwrap_or(at + 1))),
            0 => {
                let label = data.get(at + 1..=at + length)?;
                if !text.is_empty() {
                    text.push(b'.');
                }
                // A dot within a label would turn it into two labels, so it is replaced by an invalid character.
                text.extend(label.iter().map(|byte| if *byte == b'.' { 0 } else { *byte }));
                if text.len() > NAME - 2 {
                    return None;
                }
                at += 1 + length;
            }
            3 => {
                let pointer = (length & LABEL) << 8 | usize::from(*data.get(at + 1)?);
                if pointer >= before {
                    return None;
                }
                next = next.or(Some(at + 2));
                (at, before) = (pointer, pointer);
            }
            _ => return None,
        }
    }
}

/// Whether a host name may contain the label: letters, digits, hyphens (RFC 1123 section 2.1), and the underscore,
/// which is in use.
fn is_label(label: &[u8]) -> bool {
    let is_fine = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL).contains(&label.len()) && label.iter().all(is_fine)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::random::Random;

    /// "eng.apple.com" and "marketing.apple.com", the example of RFC 3397 section 3.
    const EXAMPLE: &[u8] = b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04";

    #[test]
    fn the_search_list_of_the_rfc_is_parsed() {
        assert_eq!(search_list(EXAMPLE), ["eng.apple.com", "marketing.apple.com"]);
    }

    #[test]
    fn a_truncated_name_is_left_out() {
        for length in 0..EXAMPLE.len() {
            let whole = usize::from(length >= 15);
            assert_eq!(search_list(&EXAMPLE[..length]).len(), whole, "{length}");
        }
    }

    #[test]
    fn pointers_must_point_backwards_and_loops_are_refused() {
        for broken in
            [&b"\x01a\xc0\x00"[..], b"\xc0\x00", b"\x01a\xc0\x02", b"\x01a\xc0\x05\0\x01b\0", b"\x41a\0", b"\x81"]
        {
            assert!(search_list(broken).is_empty(), "{broken:?}");
        }
        // Names before a malformed one are kept. A pointer to a pointer is valid.
        assert_eq!(search_list(b"\x01a\0\xc0\x00\x01b\xc0\x03\x01c\xc0\xff"), ["a", "b.a"]);
    }

    #[test]
    fn names_are_bounded_in_length_and_number() {
        let long = |labels: usize| {
            let mut name: Vec<u8> = (0..labels).flat_map(|_| *b"\x07aaaaaaa").collect();
            name.push(0);
            search_list(&name)
        };
        assert_eq!((long(31)[0].len(), long(32).len()), (247, 0));
        let many: Vec<u8> = (0..100u8).flat_map(|name| [2, b'a' + name / 26, b'a' + name % 26, 0]).collect();
        assert_eq!(search_list(&many).len(), MOST);
    }

    #[test]
    fn text_that_is_not_a_name_is_refused() {
        assert_eq!(domain(b"Lan.Example.").as_deref(), Some("lan.example"));
        assert_eq!(domain(b"lan\0\0").as_deref(), Some("lan"));
        for bad in ["", ".", "..", "a..b", ".a", "a b", "a\nnameserver 1", "a\0b", "\u{e9}", &"a".repeat(64)] {
            assert_eq!(domain(bad.as_bytes()), None, "{bad:?}");
        }
        let labels = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)];
        assert_eq!(domain(labels.join(".").as_bytes()).map(|name| name.len()), Some(253));
        assert_eq!(domain(format!("{}d", labels.join(".")).as_bytes()), None);
        assert_eq!(search_list(b"\x03a.b\0\x01c\0"), ["c".to_string()], "a dot within a label");
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let mut random = Random::new([3; 32]);
        for _ in 0..20_000 {
            let mut data: Vec<u8> = (0..random.below(80)).map(|_| random.next_u32() as u8).collect();
            if random.below(2) == 0 {
                data = EXAMPLE.to_vec();
                let at = random.below(data.len() as u32) as usize;
                data[at] = random.next_u32() as u8;
            }
            assert!(search_list(&data).iter().all(|name| !name.is_empty() && name.len() <= 253));
        }
    }
}
