//! Test helpers: messages of servers as bytes, and a parser for messages of the client.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

pub(crate) const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 7]);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);

/// A server's message, field by field.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) transaction: u32,
    pub(crate) hardware: EthernetAddress,
    pub(crate) address: Ipv4Addr,
    pub(crate) options: Vec<(u8, Vec<u8>)>,
    pub(crate) sname: Vec<u8>,
    pub(crate) file: Vec<u8>,
}

impl Message {
    /// A message of a type (2 offer, 5 acknowledgement, 6 refusal), with a lease time of 1000 seconds, T1 at 400 and T2
    /// at 800.
    pub(crate) fn new(kind: u8, transaction: u32) -> Self {
        let message = Self {
            transaction,
            hardware: HARDWARE,
            address: ADDRESS,
            options: Vec::new(),
            sname: Vec::new(),
            file: Vec::new(),
        };
        let message = message.with(53, [kind]).with(54, SERVER.octets());
        if kind == 6 {
            return Self { address: Ipv4Addr::UNSPECIFIED, ..message };
        }
        message
            .with(51, 1000u32.to_be_bytes())
            .with(58, 400u32.to_be_bytes())
            .with(59, 800u32.to_be_bytes())
            .with(1, [255, 255, 255, 0])
            .with(3, SERVER.octets())
            .with(6, [10, 9, 0, 2, 9, 9, 9, 9])
    }

    /// The same message with an option, which replaces those with its code.
    pub(crate) fn with(self, code: u8, data: impl AsRef<[u8]>) -> Self {
        let mut message = self.without(code);
        message.options.push((code, data.as_ref().to_vec()));
        message
    }

    /// The same message without the options of a code.
    pub(crate) fn without(mut self, code: u8) -> Self {
        self.options.retain(|option| option.0 != code);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::from([2, 1, 6, 0]);
        bytes.extend(self.transaction.to_be_bytes());
        bytes.resize(16, 0);
        bytes.extend(self.address.octets());
        bytes.resize(28, 0);
        bytes.extend(self.hardware.0);
        bytes.resize(44, 0);
        bytes.extend(&self.sname);
        bytes.resize(108, 0);
        bytes.extend(&self.file);
        bytes.resize(236, 0);
        bytes.extend([99, 130, 83, 99]);
        bytes.extend(encoded(&self.options));
        bytes.push(255);
        bytes
    }
}

/// Options as bytes. Options that are too long are split into several parts (RFC 3396).
pub(crate) fn encoded(options: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, data) in options {
        for part in data.chunks(255) {
            bytes.extend([*code, part.len() as u8]);
            bytes.extend(part);
        }
        if data.is_empty() {
            bytes.extend([*code, 0]);
        }
    }
    bytes
}

/// A parsed message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// 1 discover, 3 request, 4 decline, 7 release.
    pub(crate) kind: u8,
    pub(crate) transaction: u32,
    pub(crate) secs: u16,
    pub(crate) flags: u16,
    pub(crate) client: Ipv4Addr,
    /// Option 50.
    pub(crate) requested: Option<Ipv4Addr>,
    /// Option 54.
    pub(crate) server: Option<Ipv4Addr>,
    pub(crate) options: BTreeMap<u8, Vec<u8>>,
}

impl Heard {
    pub(crate) fn read(payload: &[u8]) -> Self {
        assert!(payload.len() >= 300);
        assert_eq!(payload[..4], [1, 1, 6, 0]);
        assert_eq!((&payload[28..34], &payload[34..44]), (&HARDWARE.0[..], &[0; 10][..]));
        assert!(
            payload[16..28].iter().chain(&payload[44..236]).all(|byte| *byte == 0),
            "yiaddr, siaddr, giaddr, names"
        );
        assert_eq!(payload[236..240], [99, 130, 83, 99]);
        let mut options = BTreeMap::new();
        let mut rest = &payload[240..];
        while let [code, length, data @ ..] = rest
            && *code != 255
        {
            let (data, behind) = data.split_at(usize::from(*length));
            assert_eq!(options.insert(*code, data.to_vec()), None, "option {code} twice");
            rest = behind;
        }
        assert_eq!(rest[0], 255);
        assert!(rest[1..].iter().all(|byte| *byte == 0));
        let address = |code| options.get(&code).map(|data: &Vec<u8>| Ipv4Addr::from(*data.first_chunk::<4>().unwrap()));
        let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        Self {
            kind: options[&53][0],
            transaction: u32::from_be_bytes(*payload[4..].first_chunk().unwrap()),
            secs: number(8),
            flags: number(10),
            client: Ipv4Addr::from(*payload[12..].first_chunk::<4>().unwrap()),
            requested: address(50),
            server: address(54),
            options,
        }
    }
}
