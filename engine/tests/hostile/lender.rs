//! Generates messages of DHCP servers that are nearly valid (RFC 2131), and parses the client's messages.

use core::net::Ipv4Addr;

use super::bytes::Bytes;
use super::craft::Hardware;

pub(crate) const DISCOVER: u8 = 1;
pub(crate) const OFFER: u8 = 2;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const DECLINE: u8 = 4;
pub(crate) const ACK: u8 = 5;
pub(crate) const NAK: u8 = 6;
pub(crate) const RELEASE: u8 = 7;

/// The codes of DHCP options (RFC 2132).
const MASK: u8 = 1;
const OVERLOAD: u8 = 52;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const SEARCH: u8 = 119;
const ROUTES: u8 = 121;

/// The length of the fixed header. The options follow it, behind a magic cookie of four bytes.
const HEADER: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const SNAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..HEADER;

/// A client's message.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) kind: u8,
    pub(crate) transaction: [u8; 4],
    pub(crate) hardware: Hardware,
    /// `ciaddr`, unless it is 0.0.0.0.
    pub(crate) client: Option<Ipv4Addr>,
    /// The requested address (option 50).
    pub(crate) requested: Option<Ipv4Addr>,
    /// The server identifier (option 54).
    pub(crate) server: Option<Ipv4Addr>,
}

impl Asked {
    /// Parses a message like a strict server; panics if it is malformed.
    pub(crate) fn read(payload: &[u8]) -> Self {
        assert!((300..=620).contains(&payload.len()), "{} bytes", payload.len());
        assert_eq!((&payload[..4], &payload[HEADER..HEADER + 4]), (&[1, 1, 6, 0][..], &COOKIE[..]));
        assert!(payload[34..HEADER].iter().chain(&payload[16..28]).all(|byte| *byte == 0), "{payload:02x?}");
        let mut asked = Self {
            kind: 0,
            transaction: array(payload, 4),
            hardware: array(payload, 28),
            client: Some(Ipv4Addr::from(array(payload, 12))).filter(|client| !client.is_unspecified()),
            requested: None,
            server: None,
        };
        let (mut rest, mut seen) = (&payload[HEADER + 4..], Vec::new());
        while let [code, length, data @ ..] = rest
            && *code != 255
        {
            let (data, behind) = data.split_at(usize::from(*length));
            assert!(!seen.contains(code), "option {code} twice");
            seen.push(*code);
            match code {
                50 => asked.requested = Some(Ipv4Addr::from(array(data, 0))),
                &KIND => asked.kind = data[0],
                &SERVER => asked.server = Some(Ipv4Addr::from(array(data, 0))),
                _ => {}
            }
            rest = behind;
        }
        assert_eq!(rest.first(), Some(&255), "the end is missing");
        assert!(rest[1..].iter().all(|byte| *byte == 0), "something behind the end");
        asked
    }
}

/// The addresses of servers. Now and then a server uses the address of another one.
pub(crate) const SERVERS: [Ipv4Addr; 8] = [
    Ipv4Addr::new(192, 0, 2, 254),
    Ipv4Addr::new(192, 0, 2, 253),
    Ipv4Addr::new(10, 0, 0, 1),
    Ipv4Addr::new(192, 0, 2, 77),
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::BROADCAST,
    Ipv4Addr::new(127, 0, 0, 1),
    Ipv4Addr::new(224, 0, 0, 1),
];

/// The addresses that the servers lend.
const LENT: [Ipv4Addr; 8] = [
    Ipv4Addr::new(192, 0, 2, 77),
    Ipv4Addr::new(192, 0, 2, 78),
    Ipv4Addr::new(10, 1, 2, 3),
    Ipv4Addr::new(192, 0, 2, 254),
    Ipv4Addr::new(192, 0, 2, 255),
    Ipv4Addr::new(192, 0, 2, 0),
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::new(239, 0, 0, 1),
];

/// Values of times in seconds.
const TIMES: [u32; 10] = [3600, 60, 600, 86_400, 1, 2, 0, 16, u32::MAX, u32::MAX - 1];

/// A server's answer to a message. If no bytes are left, it is a valid one.
pub(crate) fn reply(asked: &Asked, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let natural = if asked.kind == DISCOVER { OFFER } else { ACK };
    let kind = match bytes.byte() {
        0..170 => natural,
        170..200 => NAK,
        200..230 => bytes.pick(&[OFFER, ACK]),
        230.. => bytes.byte(),
    };
    let strange = bytes.byte();
    let is_strange = |bit: u8| strange >= 192 && strange >> bit & 1 == 1;
    let mut message = vec![0; HEADER];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[4..8].copy_from_slice(&asked.transaction);
    let usual = asked.client.or(asked.requested).unwrap_or(LENT[0]);
    let lent = if bytes.byte() < 170 { usual } else { bytes.pick(&LENT) };
    message[16..20].copy_from_slice(&lent.octets());
    message[28..34].copy_from_slice(&asked.hardware);
    let server = if bytes.byte() < 170 { asked.server.unwrap_or(SERVERS[0]) } else { bytes.pick(&SERVERS) };
    let mut options = Vec::new();
    if !is_strange(0) {
        put(&mut options, KIND, &[kind]);
    }
    if !is_strange(1) {
        put(&mut options, SERVER, &server.octets());
    }
    if kind != NAK && !is_strange(2) {
        put(&mut options, 51, &bytes.pick(&TIMES).to_be_bytes());
    }
    if kind != NAK && !is_strange(3) {
        let mask = bytes.pick(&[24u32, 32, 31, 30, 8, 1, 0, 25]);
        put(&mut options, MASK, &u32::MAX.checked_shl(32 - mask).unwrap_or(0).to_be_bytes());
    }
    let mut spare = Vec::new();
    for _ in 0..bytes.byte() % 16 {
        let place = if bytes.byte() < 220 { &mut options } else { &mut spare };
        put_any(place, bytes);
    }
    overload(&mut message, &mut options, &spare, bytes);
    message.extend(COOKIE);
    message.extend(options);
    if !is_strange(4) {
        message.push(255);
    }
    if is_strange(5) {
        for _ in 0..1 + bytes.byte() % 4 {
            let at = bytes.below(message.len());
            message[at] = bytes.byte();
        }
    }
    if strange == 255 {
        message.truncate(bytes.below(message.len()));
    }
    message
}

/// Puts options into the fields `sname` and `file`, with or without the option that says so (option overload).
fn overload(message: &mut [u8], options: &mut Vec<u8>, spare: &[u8], bytes: &mut Bytes<'_>) {
    let (said, done) = match bytes.byte() {
        0..120 if spare.is_empty() => return,
        0..200 => {
            let both = bytes.pick(&[1, 2, 3]);
            (both, both)
        }
        200.. => (bytes.byte() % 5, bytes.byte() % 4),
    };
    put(options, OVERLOAD, &[said]);
    for (bit, field) in [(1, FILE), (2, SNAME)] {
        if done & bit != 0 {
            let field = &mut message[field];
            // Options that do not fit are truncated, and then have no end option.
            let length = spare.len().min(field.len());
            field[..length].copy_from_slice(&spare[..length]);
            if let Some(end) = field.get_mut(length) {
                *end = 255;
            }
        }
    }
}

/// Appends an option, split into several parts if it is too long for one (RFC 3396).
fn put(options: &mut Vec<u8>, code: u8, data: &[u8]) {
    for part in data.chunks(255) {
        options.extend([code, part.len() as u8]);
        options.extend(part);
    }
}

fn put_any(options: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    match bytes.byte() % 12 {
        0 => {
            let data: Vec<u8> = (0..bytes.byte() % 24).flat_map(|_| host(bytes).octets()).collect();
            put(options, bytes.pick(&[3, 6, 42]), &data);
        }
        1 => put(options, bytes.pick(&[58, 59]), &bytes.pick(&TIMES).to_be_bytes()),
        2 => put(options, 15, bytes.pick(&[&b"lan.example"[..], b"Example.", b"a..b", b"a b", b".", b"x\0\0", b""])),
        3 => {
            let length = bytes.below(40);
            put(options, 15, bytes.take(length));
        }
        4 => put(options, SEARCH, &names(bytes)),
        5 => put(options, ROUTES, &routes(bytes)),
        6 => put(options, 26, &bytes.pick(&[1500u16, 576, 1280, 68, 67, 0, 9000, u16::MAX]).to_be_bytes()),
        7 => put(options, MASK, bytes.take(4)),
        8 => options.resize(options.len() + usize::from(bytes.byte() % 8), 0),
        9 => {
            // Repeats an option with other contents.
            put(options, bytes.pick(&[KIND, SERVER, 51, OVERLOAD, MASK]), &[bytes.byte(); 4]);
        }
        10 => options.extend([bytes.byte(), bytes.byte()]),
        _ => {
            let (code, length) = (bytes.byte(), bytes.below(64));
            put(options, code, bytes.take(length));
        }
    }
}

fn host(bytes: &mut Bytes<'_>) -> Ipv4Addr {
    match bytes.byte() {
        byte @ 0..128 => Ipv4Addr::new(192, 0, 2, byte),
        128..200 => bytes.pick(&SERVERS),
        200.. => Ipv4Addr::from(bytes.long()),
    }
}

/// Encodes domain names with DNS compression pointers, valid or not (RFC 3397).
pub(crate) fn names(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut names = Vec::new();
    for _ in 0..bytes.byte() % 40 {
        match bytes.byte() {
            0..100 => {
                let letter = b'a' + bytes.byte() % 26;
                names.extend([1, letter]);
            }
            100..160 => names.extend([3, b'l', b'a', b'n', 0]),
            160..180 => names.push(0),
            180..220 => names.extend([0xc0, bytes.byte() % 64]),
            220..235 => {
                let length = bytes.byte() % 64;
                names.push(length);
                names.extend(core::iter::repeat_n(b'x', length.into()));
            }
            235.. => {
                let length = bytes.below(8);
                names.extend(bytes.take(length));
            }
        }
    }
    names
}

/// Encodes classless routes (RFC 3442).
fn routes(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut routes = Vec::new();
    for _ in 0..bytes.byte() % 32 {
        let length = bytes.pick(&[24u8, 0, 8, 32, 16, 25, 33, 255, 4]);
        routes.push(length);
        let significant = if bytes.byte() < 240 { length.div_ceil(8) } else { bytes.byte() % 5 };
        let network = [10, 1, bytes.byte(), bytes.byte()];
        routes.extend(&network[..usize::from(significant).min(4)]);
        routes.extend(host(bytes).octets());
    }
    routes
}

/// The type of a server's message, as a parser finds it that starts with the options field and continues with the
/// overloaded fields.
pub(crate) fn kind(message: &[u8]) -> Option<u8> {
    let first = |field: &[u8], wanted: u8| {
        let mut rest = field;
        loop {
            match *rest {
                [0, ref behind @ ..] => rest = behind,
                [255, ..] | [] | [_] => return None,
                [code, length, ref behind @ ..] => {
                    let data = behind.get(..usize::from(length))?;
                    if code == wanted {
                        return Some(data.to_vec());
                    }
                    rest = &behind[usize::from(length)..];
                }
            }
        }
    };
    let options = message.get(HEADER + 4..)?;
    let overload = first(options, OVERLOAD).and_then(|data| data.first().copied()).unwrap_or(0);
    let file = message.get(FILE).filter(|_| overload & 1 != 0).and_then(|field| first(field, KIND));
    let sname = message.get(SNAME).filter(|_| overload & 2 != 0).and_then(|field| first(field, KIND));
    first(options, KIND).or(file).or(sname)?.first().copied()
}

/// The address that a server's message lends (`yiaddr`).
pub(crate) fn lent(message: &[u8]) -> Ipv4Addr {
    Ipv4Addr::from(array(message, 16))
}

pub(crate) fn array<const LENGTH: usize>(bytes: &[u8], at: usize) -> [u8; LENGTH] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; LENGTH])
}
