//! Options of neighbour discovery messages (RFC 4861 section 4.6, RFC 4191 section 2.3, RFC 8106 section 5).

use alloc::string::String;
use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::Invalid;
use crate::ip::icmp::at;

pub(super) const SOURCE_HARDWARE: u8 = 1;
pub(super) const TARGET_HARDWARE: u8 = 2;
const PREFIX: u8 = 3;
const REDIRECTED: u8 = 4;
const MTU: u8 = 5;
pub(super) const NONCE: u8 = 14;
const ROUTE: u8 = 24;
const SERVERS: u8 = 25;
const SEARCH: u8 = 31;

/// An iterator over the options of a message. Options that are unknown or invalid by themselves are skipped (RFC 4861
/// section 4.6).
///
/// The length of each option was checked when the message was parsed. Only the size of the packet limits their number,
/// so code that stores their content needs a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    rest: &'a [u8],
}

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpOption<'a> {
    /// The hardware address of the sender.
    SourceHardware(EthernetAddress),
    /// The hardware address of the target.
    TargetHardware(EthernetAddress),
    /// A prefix of the link (RFC 4861 section 4.6.2).
    Prefix(Prefix),
    /// The packet that caused a redirect, as far as it is quoted.
    Redirected(&'a [u8]),
    /// The MTU of the link, in bytes (RFC 4861 section 4.6.4). It is not checked whether the link can have it.
    Mtu(u32),
    /// A nonce, which distinguishes a looped-back probe from probes of others (RFC 3971 section 5.3.2).
    Nonce(&'a [u8]),
    /// A route through the router (RFC 4191 section 2.3).
    Route(Route),
    /// DNS servers (RFC 8106 section 5.1).
    Servers(Servers<'a>),
    /// DNS search domains (RFC 8106 section 5.2).
    Search(Search<'a>),
}

/// A prefix of the link.
///
/// For address configuration, the receiver must ignore a link-local prefix, and a prefix whose preferred lifetime is
/// longer than its valid lifetime (RFC 4862 section 5.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The prefix. The bits after its length are 0.
    pub prefix: Ipv6Addr,
    /// Its length in bits, up to 128.
    pub length: u8,
    /// The L flag: all addresses of the prefix are on-link. Without it, the option says nothing about that (RFC 5942).
    pub on_link: bool,
    /// The A flag: addresses may be formed from the prefix.
    pub autonomous: bool,
    /// The valid lifetime; `Duration::MAX` for ever.
    pub valid: Duration,
    /// The preferred lifetime of addresses of the prefix; `Duration::MAX` for ever.
    pub preferred: Duration,
}

/// A route through the router that advertises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The prefix of the destinations. The bits after the length are 0.
    pub prefix: Ipv6Addr,
    /// The length of the prefix in bits, up to 128.
    pub length: u8,
    /// Its preference among routes for the same prefix.
    pub preference: Preference,
    /// Its lifetime; zero removes the route, `Duration::MAX` is for ever.
    pub lifetime: Duration,
}

/// The preference of a router or route (RFC 4191 section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preference {
    /// Below the others.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Above the others.
    High,
}

/// DNS servers: an iterator over their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Servers<'a> {
    /// How long they may be used; zero removes them, `Duration::MAX` is for ever.
    pub lifetime: Duration,
    rest: &'a [u8],
}

/// DNS search domains: an iterator over their names, with dots between the labels. It ends at a name that is malformed,
/// or has a label that no host name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search<'a> {
    /// How long they may be used; zero removes them, `Duration::MAX` is for ever.
    pub lifetime: Duration,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// Parses the options of a message whose fixed part has `header` bytes.
    pub(super) fn read(message: &'a [u8], header: usize) -> Result<Self, Invalid> {
        let all = message.get(header..).ok_or(Invalid::Length)?;
        let mut rest = all;
        while !rest.is_empty() {
            (_, rest) = split(rest).ok_or(Invalid::OptionLength)?;
        }
        Ok(Self { rest: all })
    }

    /// The hardware address of the sender, if the message has the option.
    #[must_use]
    pub fn source_hardware(mut self) -> Option<EthernetAddress> {
        let hardware = |option| if let NdpOption::SourceHardware(hardware) = option { Some(hardware) } else { None };
        self.find_map(hardware)
    }

    /// The hardware address of the target, if the message has the option.
    #[must_use]
    pub fn target_hardware(mut self) -> Option<EthernetAddress> {
        let hardware = |option| if let NdpOption::TargetHardware(hardware) = option { Some(hardware) } else { None };
        self.find_map(hardware)
    }

    /// Whether there is a source hardware address option, whatever its content.
    pub(super) fn has_source_hardware(self) -> bool {
        let mut rest = self.rest;
        while let Some((option, behind)) = split(rest) {
            if option.first() == Some(&SOURCE_HARDWARE) {
                return true;
            }
            rest = behind;
        }
        false
    }

    pub(super) fn nonce(mut self) -> Option<[u8; 6]> {
        let nonce = |option| if let NdpOption::Nonce(nonce) = option { nonce.try_into().ok() } else { None };
        self.find_map(nonce)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = NdpOption<'a>;

    fn next(&mut self) -> Option<NdpOption<'a>> {
        loop {
            let (option, behind) = split(self.rest)?;
            self.rest = behind;
            if let Some(known) = NdpOption::read(option) {
                return Some(known);
            }
        }
    }
}

impl<'a> NdpOption<'a> {
    /// Parses one option; `None` if it is unknown, or has an invalid length or value.
    fn read(option: &'a [u8]) -> Option<Self> {
        match *option.first()? {
            SOURCE_HARDWARE => hardware(option).map(Self::SourceHardware),
            TARGET_HARDWARE => hardware(option).map(Self::TargetHardware),
            PREFIX => Prefix::read(option).map(Self::Prefix),
            REDIRECTED => option.get(8..).map(Self::Redirected),
            MTU if option.len() == 8 => at(option, 4).map(u32::from_be_bytes).map(Self::Mtu),
            NONCE => option.get(2..).map(Self::Nonce),
            ROUTE => Route::read(option).map(Self::Route),
            // The option has at least one address, and nothing but addresses.
            SERVERS if option.len() >= 24 && option.len() % 16 == 8 => {
                Some(Self::Servers(Servers { lifetime: lifetime(option, 4)?, rest: option.get(8..)? }))
            }
            SEARCH if option.len() >= 16 => {
                Some(Self::Search(Search { lifetime: lifetime(option, 4)?, rest: option.get(8..)? }))
            }
            _ => None,
        }
    }
}

impl Prefix {
    fn read(option: &[u8]) -> Option<Self> {
        let [length, flags] = at(option, 2)?;
        if option.len() != 32 {
            return None;
        }
        Some(Self {
            prefix: masked(at(option, 16)?, length)?,
            length,
            on_link: flags & 0x80 != 0,
            autonomous: flags & 0x40 != 0,
            valid: lifetime(option, 4)?,
            preferred: lifetime(option, 8)?,
        })
    }
}

impl Route {
    fn read(option: &[u8]) -> Option<Self> {
        let [length, flags] = at(option, 2)?;
        let needed = usize::from(length).div_ceil(64) * 8;
        let bytes = option.get(8..).filter(|bytes| bytes.len() <= 16 && bytes.len() >= needed)?;
        let mut prefix = [0; 16];
        for (byte, value) in prefix.iter_mut().zip(bytes) {
            *byte = *value;
        }
        Some(Self {
            prefix: masked(prefix, length)?,
            length,
            // An option with a reserved preference must be ignored.
            preference: Preference::from_bits(flags >> 3)?,
            lifetime: lifetime(option, 4)?,
        })
    }
}

impl Preference {
    /// From two bits; `None` for the reserved value.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0b00 => Some(Self::Medium),
            0b01 => Some(Self::High),
            0b11 => Some(Self::Low),
            _ => None,
        }
    }
}

impl Iterator for Servers<'_> {
    type Item = Ipv6Addr;

    fn next(&mut self) -> Option<Ipv6Addr> {
        let (address, rest) = self.rest.split_first_chunk::<16>()?;
        self.rest = rest;
        Some(Ipv6Addr::from(*address))
    }
}

impl Iterator for Search<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut name = String::new();
        // Zeros after the last name are padding; they look like names without labels.
        while let Some((&length, rest)) = core::mem::take(&mut self.rest).split_first() {
            if length == 0 {
                if name.is_empty() {
                    return None;
                }
                self.rest = rest;
                return Some(name);
            }
            let (label, behind) = rest.split_at_checked(length.into())?;
            let is_host = label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if !name.is_empty() {
                name.push('.');
            }
            // The length limits of RFC 1035 section 2.3.4, which counts the dots. Compression is not allowed.
            if !is_host || length > 63 || name.len() + label.len() > 253 {
                return None;
            }
            name.extend(label.iter().map(|byte| char::from(*byte)));
            self.rest = behind;
        }
        None
    }
}

/// Splits off the first option. Its length is in units of eight bytes, and 0 is invalid.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(*rest.get(1)?) * 8;
    rest.split_at_checked(length).filter(|_| length > 0)
}

/// An Ethernet hardware address of a single host (RFC 2464 section 6).
fn hardware(option: &[u8]) -> Option<EthernetAddress> {
    let hardware = EthernetAddress(at(option, 2)?);
    (option.len() == 8 && hardware.is_unicast() && hardware.0 != [0; 6]).then_some(hardware)
}

/// A lifetime in seconds. All ones means for ever.
fn lifetime(option: &[u8], offset: usize) -> Option<Duration> {
    let seconds = u32::from_be_bytes(at(option, offset)?);
    Some(if seconds == u32::MAX { Duration::MAX } else { Duration::from_secs(seconds.into()) })
}

/// An address without the bits after a prefix of this length; `None` if the length is above 128.
fn masked(address: [u8; 16], length: u8) -> Option<Ipv6Addr> {
    let behind = 128u32.checked_sub(length.into())?;
    Some(Ipv6Addr::from_bits(u128::from_be_bytes(address) & u128::MAX.checked_shl(behind).unwrap_or(0)))
}
