//! The records of a name server's answer, and their notation in zone files (RFC 1035 section 5).

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::str::FromStr;

use crate::address::ip_from_wit;
use crate::bindings::dns;

/// A record of an answer. Displayed as a line of a zone file: `example.org. 300 IN A 192.0.2.1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The owner of the record, as an absolute name with the final dot.
    pub name: String,
    /// Its type.
    pub record_type: RecordType,
    /// For how many seconds it may be cached.
    pub ttl: u32,
    /// Its data.
    pub data: RecordData,
}

/// The data of a record, by its type. Displayed as in zone files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordData {
    /// A or AAAA: an address.
    Address(IpAddr),
    /// CNAME, NS, PTR: another name.
    Name(String),
    /// MX (RFC 1035 section 3.3.9).
    Mx {
        /// Lower values are preferred.
        preference: u16,
        /// The mail exchange.
        exchange: String,
    },
    /// TXT: character strings, which may contain any octets (RFC 1035 section 3.3.14).
    Txt(Vec<Vec<u8>>),
    /// SRV (RFC 2782).
    Srv {
        /// Lower values are preferred.
        priority: u16,
        /// The relative share among records of one priority.
        weight: u16,
        /// The service's port.
        port: u16,
        /// The service's host.
        target: String,
    },
    /// SOA (RFC 1035 section 3.3.13).
    Soa {
        /// The primary server.
        primary: String,
        /// The mailbox of the person responsible for the zone.
        mailbox: String,
        /// The zone's version.
        serial: u32,
        /// Seconds between refreshes.
        refresh: u32,
        /// Seconds between attempts.
        retry: u32,
        /// Seconds after which a secondary server no longer answers for the zone.
        expire: u32,
        /// Seconds for which a negative answer may be cached.
        minimum: u32,
    },
    /// Any other type: its data as the server sent it, names uncompressed.
    Other(Vec<u8>),
}

/// A record type by its number (RFC 1035 section 3.2.2). Parsed and displayed by its name, or as `TYPE65280` (RFC
/// 3597).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

/// The text is not a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRecordType;

/// Defines the constants, and the table by which names are parsed and displayed.
macro_rules! record_types {
    ($($name:ident = $number:literal, $about:literal;)+) => {
        impl RecordType {
            $(#[doc = $about] pub const $name: Self = Self($number);)+

            const NAMES: &[(u16, &str)] = &[$(($number, stringify!($name))),+];
        }
    };
}

record_types! {
    A = 1, "An IPv4 address.";
    NS = 2, "A name server of the zone.";
    CNAME = 5, "The canonical name of an alias.";
    SOA = 6, "The start of a zone of authority.";
    PTR = 12, "The name of an address.";
    HINFO = 13, "The hardware and operating system of the host.";
    MX = 15, "A mail exchange.";
    TXT = 16, "Text.";
    RP = 17, "The responsible person (RFC 1183).";
    AAAA = 28, "An IPv6 address (RFC 3596).";
    LOC = 29, "A geographical location (RFC 1876).";
    SRV = 33, "The location of a service (RFC 2782).";
    NAPTR = 35, "A rule to rewrite a name (RFC 3403).";
    CERT = 37, "A certificate (RFC 4398).";
    DNAME = 39, "The canonical name of an aliased subtree (RFC 6672).";
    DS = 43, "The signer of a delegation (RFC 4034).";
    SSHFP = 44, "The fingerprint of an SSH key (RFC 4255).";
    RRSIG = 46, "A signature (RFC 4034).";
    NSEC = 47, "The next name (RFC 4034).";
    DNSKEY = 48, "A zone's key (RFC 4034).";
    NSEC3 = 50, "The next hashed name (RFC 5155).";
    NSEC3PARAM = 51, "The parameters of hashed names (RFC 5155).";
    TLSA = 52, "A service's certificate (RFC 6698).";
    OPENPGPKEY = 61, "A mailbox's key (RFC 7929).";
    SVCB = 64, "The parameters of a service (RFC 9460).";
    HTTPS = 65, "The parameters of an HTTPS server (RFC 9460).";
    ANY = 255, "Any records, chosen by the server (RFC 8482).";
    URI = 256, "A URI (RFC 7553).";
    CAA = 257, "The certification authorities permitted for the name (RFC 8659).";
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&format!("TYPE{}", self.0)),
        }
    }
}

impl FromStr for RecordType {
    type Err = NoRecordType;

    /// Case is ignored.
    fn from_str(text: &str) -> Result<Self, NoRecordType> {
        if let Some((number, _)) = Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(Self(*number));
        }
        let (word, digits) = text.split_at_checked(4).ok_or(NoRecordType)?;
        if !word.eq_ignore_ascii_case("TYPE") || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoRecordType);
        }
        digits.parse().map(Self).map_err(|_| NoRecordType)
    }
}

impl fmt::Display for NoRecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a type of records")
    }
}

impl std::error::Error for NoRecordType {}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, record_type, ttl, data } = self;
        write!(f, "{name} {ttl} IN {record_type} {data}")
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Self::Txt(strings) => {
                for (index, string) in strings.iter().enumerate() {
                    if index > 0 {
                        f.write_char(' ')?;
                    }
                    write_string(f, string)?;
                }
                Ok(())
            }
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Self::Soa { primary, mailbox, serial, refresh, retry, expire, minimum } => {
                write!(f, "{primary} {mailbox} {serial} {refresh} {retry} {expire} {minimum}")
            }
            Self::Other(data) => {
                write!(f, "\\# {}", data.len())?;
                if !data.is_empty() {
                    f.write_char(' ')?;
                }
                data.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
        }
    }
}

/// Writes a character string in quotes (RFC 1035 section 5.1): quotes and backslashes are escaped, and octets that are
/// not printable ASCII are written as `\DDD`.
fn write_string(f: &mut fmt::Formatter<'_>, string: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for &byte in string {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "\\{byte:03}")?,
        }
    }
    f.write_char('"')
}

impl Record {
    pub(super) fn from_wit(record: dns::ResourceRecord) -> Self {
        let dns::ResourceRecord { name, type_, ttl, data } = record;
        Self { name, record_type: RecordType(type_), ttl, data: RecordData::from_wit(data) }
    }
}

impl RecordData {
    fn from_wit(data: dns::RecordData) -> Self {
        match data {
            dns::RecordData::Address(address) => Self::Address(ip_from_wit(address)),
            dns::RecordData::Name(name) => Self::Name(name),
            dns::RecordData::Mx((preference, exchange)) => Self::Mx { preference, exchange },
            dns::RecordData::Txt(strings) => Self::Txt(strings),
            dns::RecordData::Srv((priority, weight, port, target)) => Self::Srv { priority, weight, port, target },
            dns::RecordData::Soa((primary, mailbox, serial, refresh, retry, expire, minimum)) => {
                Self::Soa { primary, mailbox, serial, refresh, retry, expire, minimum }
            }
            dns::RecordData::Other(data) => Self::Other(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_or_numbers() {
        for (text, number) in [("A", 1), ("AAAA", 28), ("HTTPS", 65), ("TYPE65280", 65280), ("TYPE0", 0)] {
            assert_eq!(text.parse(), Ok(RecordType(number)), "{text}");
            assert_eq!(RecordType(number).to_string(), text);
        }
        assert_eq!("type28".parse(), Ok(RecordType::AAAA));
        for text in ["", "B", "TYPE", "TYPE+1", "TYPE65536", "TYP€1", "28"] {
            assert_eq!(text.parse::<RecordType>(), Err(NoRecordType), "{text}");
        }
    }

    #[test]
    fn data_is_displayed_as_in_a_zone_file() {
        let name = || "mail.example.org.".to_owned();
        for (data, text) in [
            (RecordData::Address([192, 0, 2, 1].into()), "192.0.2.1"),
            (RecordData::Mx { preference: 10, exchange: name() }, "10 mail.example.org."),
            (RecordData::Srv { priority: 0, weight: 5, port: 80, target: name() }, "0 5 80 mail.example.org."),
            (RecordData::Txt(vec![b"a \"b\"\\".to_vec(), vec![], vec![7, 0xc3]]), r#""a \"b\"\\" "" "\007\195""#),
            (RecordData::Other(vec![]), r"\# 0"),
            (RecordData::Other(vec![1, 0xab]), r"\# 2 01AB"),
        ] {
            assert_eq!(data.to_string(), text);
        }
        let record = Record { name: name(), record_type: RecordType::A, ttl: 300, data: RecordData::Other(vec![0]) };
        assert_eq!(record.to_string(), r"mail.example.org. 300 IN A \# 1 00");
    }
}
