//! Texts in the payloads of commands, such as addresses: formatting and parsing them are inverse.

use xila_network_commands::address::{Cidr, MacAddress, Route};
use xila_network_commands::command::{decode, encode};
use xila_network_host::socket::dns::is_search_domain;

use super::bytes::Bytes;

/// Parses a text as each type of text. Most of its letters have a meaning in one of them.
pub(crate) fn read(bytes: &mut Bytes<'_>) {
    const LETTERS: &[u8] = b"0123456789abcdefABCDEF:./-+ [%]\0";
    let length = bytes.below(50);
    let raw = bytes.take(length);
    let text = match bytes.byte() {
        0..160 => raw.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect(),
        160..200 => near(raw),
        200.. => String::from_utf8_lossy(raw).into_owned(),
    };
    if let Ok(cidr) = text.parse::<Cidr>() {
        let longest = if cidr.address().is_ipv4() { 32 } else { 128 };
        assert!(cidr.prefix() <= longest && cidr.contains(cidr.address()), "{text:?}");
        assert_eq!(cidr.to_string().parse(), Ok(cidr), "{text:?}");
        let network = cidr.network();
        assert!(network.network() == network && network.contains(cidr.address()) && cidr.contains(network.address()));
        assert_eq!(decode(&encode(&cidr)), Ok(cidr));
        if let Ok(route) = Route::new(cidr, cidr.address()) {
            assert_eq!((route.destination(), decode(&encode(&route))), (network, Ok(route)));
        }
    }
    if let Ok(address) = text.parse::<MacAddress>() {
        assert_eq!(address.to_string(), text.to_ascii_lowercase());
        assert_eq!((MacAddress::new(address.octets()), address.octets()[0] & 1), (Ok(address), 0));
        assert_eq!(decode(&encode(&address)), Ok(address));
    }
    // A domain is valid with and without the final dot.
    if is_search_domain(&text) && !text.ends_with('.') && text.is_ascii() && text.len() < 250 {
        assert!(is_search_domain(&format!("{text}.")), "{text:?}");
    }
}

/// A text that is almost an address with a prefix length, or a hardware address.
fn near(raw: &[u8]) -> String {
    let byte = |at: usize| raw.get(at).copied().unwrap_or(0);
    let (a, b, c) = (byte(1), byte(2), byte(3));
    match byte(0) % 6 {
        0 => format!("10.{a}.{b}.1/{c}"),
        1 => format!("fd00:{a:x}::{b:x}/{c}"),
        2 => format!("{a:02x}:00:00:{b:02x}:00:{c:02X}"),
        3 => format!("{a:x}:0:0:{b:x}:0:{c:x}"),
        4 => format!("::ffff:{a}.{b}.{c}.1"),
        _ => format!("{a}.{b}.{c}.{}", byte(4)),
    }
}
