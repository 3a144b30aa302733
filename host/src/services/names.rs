//! Domain names in the options of DHCP and of router advertisements.

use hickory_proto::rr::Name;

use crate::socket::dns::is_search_domain;

/// The DNS encoding of a domain (RFC 1035 section 3.1), without compression. `None` if it is not a name that hosts
/// could search.
pub(crate) fn encode(domain: &str) -> Option<Vec<u8>> {
    if !domain.is_ascii() || !is_search_domain(domain) {
        return None;
    }
    let name = Name::from_ascii(domain).ok()?;
    let mut bytes = Vec::with_capacity(domain.len() + 2);
    for label in name.iter() {
        bytes.push(u8::try_from(label.len()).ok()?);
        bytes.extend(label);
    }
    bytes.push(0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_labels_with_their_lengths() {
        for text in ["corp.example", "corp.example."] {
            assert_eq!(encode(text).as_deref(), Some(&b"\x04corp\x07example\0"[..]));
        }
        for text in ["", ".", "a..b", "localhost", "caf\u{e9}.example", &"a".repeat(64)] {
            assert_eq!(encode(text), None, "{text}");
        }
    }
}
