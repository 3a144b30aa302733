//! The identity of an interface, which lasts longer than one run, and its text format.
//!
//! The format is text, so that people can read the file: a line for the version of the format, and one line for each
//! value.
//!
//! ```text
//! xila-network interface 1
//! hardware-address 02:1b:44:11:3a:b7
//! secret 6f1d...
//! lease 192.0.2.17 of 02:1b:44:11:3a:b7 current
//! ```
//!
//! It is parsed strictly: a line that differs from what is written here means that somebody else has changed the file,
//! and then nothing of it is used.

use core::fmt;
use core::net::Ipv4Addr;

use xila_network_engine::configure::dhcp::Remembered;

use crate::address::MacAddress;

/// The first line of the text, with the version of the format.
const HEADER: &str = "xila-network interface 1";

/// What is remembered of an interface from run to run.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The randomly drawn hardware address; `None` while the user has set one in every run.
    pub(super) hardware: Option<MacAddress>,
    /// The secret key of IPv6 interface identifiers (RFC 7217).
    pub(super) secret: [u8; 32],
    /// The last DHCP lease.
    pub(super) lease: Option<Lent>,
}

/// An IPv4 address that DHCP lent to a hardware address. A server would not lend it to another hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lent {
    pub(crate) to: MacAddress,
    pub(crate) remembered: Remembered,
}

/// The text was not written by [`Display`](fmt::Display) of [`Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not what an interface writes, from its line {line} on")]
pub(super) struct Unreadable {
    line: usize,
}

impl Identity {
    /// The identity of an interface that is mounted for the first time.
    pub(super) const fn new(secret: [u8; 32]) -> Self {
        Self { hardware: None, secret, lease: None }
    }

    /// Parses the text that [`Display`](fmt::Display) writes.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let text = str::from_utf8(bytes).map_err(|_| Unreadable { line: 1 })?;
        let (mut hardware, mut secret, mut lease) = (None, None, None);
        let mut lines = (1..).zip(text.lines());
        if lines.next() != Some((1, HEADER)) {
            return Err(Unreadable { line: 1 });
        }
        for (line, content) in lines {
            let unreadable = Unreadable { line };
            let (key, value) = content.split_once(' ').ok_or(unreadable)?;
            let is_first = match key {
                "hardware-address" => hardware.replace(drawn(value).ok_or(unreadable)?).is_none(),
                "secret" => secret.replace(hexadecimal(value).ok_or(unreadable)?).is_none(),
                "lease" => lease.replace(Lent::parse(value).ok_or(unreadable)?).is_none(),
                _ => false,
            };
            if !is_first {
                return Err(unreadable);
            }
        }
        let secret = secret.ok_or_else(|| Unreadable { line: text.lines().count() })?;
        Ok(Self { hardware, secret, lease })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hardware, secret, lease } = self;
        writeln!(formatter, "{HEADER}")?;
        if let Some(hardware) = hardware {
            writeln!(formatter, "hardware-address {hardware}")?;
        }
        write!(formatter, "secret ")?;
        secret.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        writeln!(formatter)?;
        if let Some(Lent { to, remembered: Remembered { address, is_current } }) = lease {
            writeln!(formatter, "lease {address} of {to} {}", if *is_current { CURRENT } else { ENDED })?;
        }
        Ok(())
    }
}

/// The states of a lease: not released, or released or expired.
const CURRENT: &str = "current";
const ENDED: &str = "ended";

impl Lent {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let address = words.next()?.parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified())?;
        words.next().filter(|word| *word == "of")?;
        let to = words.next()?.parse().ok()?;
        let is_current = match words.next()? {
            CURRENT => true,
            ENDED => false,
            _ => return None,
        };
        words.next().is_none().then_some(Self { to, remembered: Remembered { address, is_current } })
    }
}

/// Parses a hardware address that may have been drawn at random: a locally administered one.
fn drawn(text: &str) -> Option<MacAddress> {
    text.parse().ok().filter(|address: &MacAddress| MacAddress::locally_administered(address.octets()) == *address)
}

fn hexadecimal<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let is_long_enough = text.len() == 2 * LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; LENGTH];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    is_long_enough.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(text: &str) -> MacAddress {
        text.parse().unwrap()
    }

    fn whole() -> Identity {
        let hardware = mac("02:1b:44:11:3a:b7");
        let remembered = Remembered { address: [192, 0, 2, 17].into(), is_current: true };
        Identity { hardware: Some(hardware), secret: [0xa5; 32], lease: Some(Lent { to: hardware, remembered }) }
    }

    fn read(text: &str) -> Result<Identity, Unreadable> {
        Identity::parse(text.as_bytes())
    }

    #[track_caller]
    fn assert_same(read: Result<Identity, Unreadable>, written: &Identity) {
        assert!(read.is_ok_and(|read| read == *written), "{written}");
    }

    #[test]
    fn every_identity_can_be_parsed_from_its_text() {
        let mut ended = whole();
        ended.lease.as_mut().unwrap().remembered.is_current = false;
        for identity in [whole(), ended, Identity { hardware: None, ..whole() }, Identity::new([7; 32])] {
            assert_same(read(&identity.to_string()), &identity);
        }
    }

    #[test]
    fn damaged_text_is_refused_as_a_whole() {
        let (secret, text) = ("a5".repeat(32), whole().to_string());
        for damaged in [
            String::new(),
            "\n".into(),
            HEADER.into(),
            text.replace("interface 1", "interface 2"),
            text.replace("02:1b", "03:1b"),
            text.replace("hardware-address 02:1b", "hardware-address 00:1b"),
            text.replace("hardware-address ", "hardware-address"),
            text.replace(&secret, &secret[2..]),
            text.replace(&secret, &format!("{secret}00")),
            text.replace(&secret, &secret.replace('a', "g")),
            text.replace(&secret, &"+5".repeat(32)),
            text.replace(&format!("secret {secret}\n"), ""),
            text.replace("192.0.2.17", "0.0.0.0"),
            text.replace("192.0.2.17", "192.0.2.256"),
            text.replace(" current", ""),
            text.replace(" current", " current current"),
            text.replace(" current", " perhaps"),
            text.replace(" of ", " to "),
            format!("{text}{text}"),
            format!("{text}secret {secret}\n"),
            format!("{text}router 192.0.2.1\n"),
            format!("{text}\n"),
        ] {
            assert!(read(&damaged).is_err(), "{damaged:?}");
        }
        assert!(Identity::parse(&[0xff; 4096]).is_err());
    }

    /// A file that is cut off or changed at any byte is parsed to a valid identity or refused.
    #[test]
    fn missing_or_changed_bytes_cause_no_panic_and_no_invalid_hardware_address() {
        let text = whole().to_string();
        for at in 0..text.len() {
            let _ = Identity::parse(&text.as_bytes()[..at]);
            for other in [0, b' ', b'\n', b'0', b'f', b'z', 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = other;
                let read = Identity::parse(&bytes).ok().and_then(|identity| identity.hardware);
                assert!(read.is_none_or(|address| address.octets()[0] & 3 == 2));
            }
        }
    }
}
