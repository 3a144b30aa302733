//! The options of DHCP messages (RFC 2132), as clients and servers parse them.

use alloc::vec::Vec;

/// Option codes.
pub mod code {
    /// The subnet mask.
    pub const MASK: u8 = 1;
    /// Routers, in order of preference.
    pub const ROUTERS: u8 = 3;
    /// DNS servers, in order of preference.
    pub const DNS_SERVERS: u8 = 6;
    /// The name of the client.
    pub const HOST_NAME: u8 = 12;
    /// The domain of the client.
    pub const DOMAIN: u8 = 15;
    /// The MTU of the link.
    pub const MTU: u8 = 26;
    /// The broadcast address of the network.
    pub const BROADCAST: u8 = 28;
    /// NTP servers.
    pub const NTP_SERVERS: u8 = 42;
    /// The address that the client asks for.
    pub const REQUESTED: u8 = 50;
    /// The lease time in seconds.
    pub const LIFETIME: u8 = 51;
    /// Which fields of the header contain options.
    pub const OVERLOAD: u8 = 52;
    /// The type of the message.
    pub const KIND: u8 = 53;
    /// The server identifier.
    pub const SERVER: u8 = 54;
    /// The codes of the options that the client asks for.
    pub const PARAMETERS: u8 = 55;
    /// A text that explains a refusal.
    pub const TEXT: u8 = 56;
    /// The longest message that the client accepts.
    pub const LONGEST: u8 = 57;
    /// T1 in seconds.
    pub const RENEWAL: u8 = 58;
    /// T2 in seconds.
    pub const REBINDING: u8 = 59;
    /// The client identifier.
    pub const CLIENT: u8 = 61;
    /// Search domains (RFC 3397).
    pub const SEARCH: u8 = 119;
    /// Classless static routes (RFC 3442).
    pub const ROUTES: u8 = 121;
}

/// The code of an option without length and data, which aligns the next one.
pub const PAD: u8 = 0;
/// The code that ends the options of a field.
pub const END: u8 = 255;
/// The magic cookie before the options (RFC 2131 section 3).
pub const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The length of the header before the cookie in bytes (RFC 2131 figure 1).
pub const HEADER: usize = 236;
/// The offsets of the fields of the header that may contain options.
const SNAME: usize = 44;
const FILE: usize = 108;

/// The well-formed options of a message.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The fields that contain options, in parsing order (RFC 2131 section 4.1, RFC 3396 section 5).
    fields: [&'a [u8]; 3],
}

impl<'a> Options<'a> {
    /// The options of a message, given the payload of its datagram; `None` if it is not a DHCP message, or if an option
    /// is malformed.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let options = payload.get(HEADER..)?.strip_prefix(&COOKIE)?;
        let mut found = Self { fields: [options, &[], &[]] };
        let overload = match found.first(code::OVERLOAD) {
            Some([overload @ 1..=3]) => *overload,
            Some(_) => return None,
            None => 0,
        };
        if overload & 1 != 0 {
            found.fields[1] = payload.get(FILE..HEADER)?;
        }
        if overload & 2 != 0 {
            found.fields[2] = payload.get(SNAME..FILE)?;
        }
        found.fields.iter().all(|field| is_well_formed(field)).then_some(found)
    }

    /// The data of the first option with a code.
    #[must_use]
    pub fn first(&self, code: u8) -> Option<&'a [u8]> {
        self.all().find(|option| option.0 == code).map(|option| option.1)
    }

    /// An option that appears once, with a fixed length in bytes; `None` if it has another length.
    #[must_use]
    pub fn fixed<const LENGTH: usize>(&self, code: u8) -> Option<[u8; LENGTH]> {
        self.first(code)?.try_into().ok()
    }

    /// An option of any length, with its parts concatenated (RFC 3396 section 7); empty if there is none.
    #[must_use]
    pub fn joined(&self, code: u8) -> Vec<u8> {
        self.all().filter(|option| option.0 == code).flat_map(|option| option.1).copied().collect()
    }

    fn all(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        self.fields.into_iter().flat_map(|field| Field { rest: field })
    }
}

/// An iterator over the options of a field, up to its end or to a malformed option.
struct Field<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Field<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [PAD, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let [code, length, rest @ ..] = self.rest else { return None };
        if *code == END {
            return None;
        }
        let (data, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some((*code, data))
    }
}

/// Whether all options of a field are complete. The end option may be missing.
fn is_well_formed(field: &[u8]) -> bool {
    let mut options = Field { rest: field };
    options.by_ref().for_each(drop);
    matches!(options.rest, [] | [END, ..])
}
