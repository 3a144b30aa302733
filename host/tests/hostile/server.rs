//! A DNS server whose answers are determined by a script of bytes. They are close to valid answers (RFC 1035).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{ListenOptions, Network, TcpListener, TcpStream, UdpSocket};

use super::bytes::Bytes;

const HEADER: usize = 12;

/// The types of records in answers (RFC 1035 section 3.2.2 and others): types that the resolver returns in fields, and
/// types that it returns as octets.
pub(crate) const TYPES: [u16; 24] =
    [1, 28, 5, 2, 12, 15, 16, 33, 6, 13, 35, 41, 43, 44, 46, 47, 48, 52, 64, 65, 255, 257, 10, 65_280];

/// The names in questions and records, which refer to one another.
pub(crate) const NAMES: [&str; 10] = [
    "www.example",
    "a.example",
    "b.example",
    "c.example",
    "www.lan",
    "bank.example",
    "x",
    "_sip._tcp.example",
    "*.example",
    "localhost",
];

/// The answers to the next questions. After the last one, answers are valid and have no records.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Script {
    /// Replaces all remaining answers.
    pub(crate) fn replace(&self, answers: impl Iterator<Item = Vec<u8>>) {
        let mut script = self.0.lock().expect("nobody panics with it");
        *script = answers.collect();
    }

    /// The messages that answer one question.
    fn answer(&self, asked: &[u8], by_tcp: bool) -> Vec<Vec<u8>> {
        let said = self.0.lock().expect("nobody panics with it").pop_front().unwrap_or_default();
        answers(asked, &mut Bytes::new(&said), by_tcp)
    }
}

/// Starts a server at an address and port, over UDP and TCP.
pub(crate) fn serve(simulation: &Simulation, network: &Network, address: SocketAddr, script: &Script) {
    let socket = UdpSocket::bind(network, address).expect("the port is free");
    let said = script.clone();
    simulation.spawn(async move {
        while let Ok(datagram) = socket.recv_datagram().await {
            for message in said.answer(&datagram.data, false) {
                // The client may be gone.
                let _sent = socket.send_to(&message, datagram.remote).await;
            }
        }
    });
    let listener = TcpListener::bind(network, address, ListenOptions::default()).expect("the port is free");
    let (script, world) = (script.clone(), simulation.clone());
    simulation.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            world.spawn(converse(stream, script.clone()));
        }
    });
}

async fn converse(stream: TcpStream, script: Script) {
    let mut length = [0; 2];
    if fill(&stream, &mut length).await.is_none() {
        return;
    }
    let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
    if fill(&stream, &mut asked).await.is_none() {
        return;
    }
    for message in script.answer(&asked, true) {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
        if stream.write_all(&[&length, &message[..]].concat()).await.is_err() {
            return;
        }
    }
    // If there was no answer, the connection stays open until the client closes it.
    let _end = stream.read(&mut [0]).await;
}

async fn fill(stream: &TcpStream, mut buffer: &mut [u8]) -> Option<()> {
    while !buffer.is_empty() {
        match stream.read(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => buffer = &mut buffer[count..],
        }
    }
    Some(())
}

/// The offset of the end of the question in a message.
fn question_end(message: &[u8]) -> usize {
    let mut at = HEADER;
    while let Some(length) = message.get(at).filter(|length| **length != 0) {
        at += 1 + usize::from(*length);
    }
    at + 5
}

/// The messages that answer one question. After the end of the bytes, this is one valid message.
fn answers(asked: &[u8], bytes: &mut Bytes<'_>, by_tcp: bool) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    match bytes.byte() {
        0..170 => messages.push(answer(asked, bytes)),
        170..190 => {
            // Forged answers, and then the real one.
            let times = bytes.byte() % 24;
            for _ in 0..times {
                let mut guess = answer(asked, &mut Bytes::new(&[]));
                let at = bytes.below(guess.len());
                guess[at] ^= 1 << (bytes.byte() % 8);
                messages.push(guess);
            }
            messages.push(answer(asked, bytes));
        }
        190..205 => {}
        205..225 => {
            let mut message = answer(asked, bytes);
            if let Some(flags) = message.get_mut(2).filter(|_| !by_tcp) {
                *flags |= 2;
            }
            messages.push(message);
        }
        225..235 => {
            let mut header = asked[..HEADER].to_vec();
            header[2] |= 0x80;
            header[3] = bytes.byte();
            header[4..].fill(0);
            messages.push(header);
        }
        235..245 => {
            // The message has the identifier and the question of the query, whatever follows.
            let mut message = asked[..question_end(asked)].to_vec();
            message[2] = 0x80;
            message[4..HEADER].copy_from_slice(&[0, 1, 0, 1, 0, 1, 0, 0]);
            let length = bytes.below(200);
            message.extend(bytes.take(length));
            messages.push(message);
        }
        245.. => {
            let length = bytes.below(100);
            messages.push(bytes.take(length).to_vec());
        }
    }
    messages
}

fn answer(asked: &[u8], bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut message = asked[..question_end(asked)].to_vec();
    let code = if bytes.byte() < 200 { 0 } else { bytes.pick(&[3, 2, 5, 1, 4, 15]) };
    (message[2], message[3]) = (0x85, 0x80 | code);
    let strange = bytes.byte();
    let is_strange = |bit: u8| strange >= 192 && strange >> bit & 1 == 1;
    let counts = [bytes.byte() % 24, bytes.byte() % 4, bytes.byte() % 4];
    for count in counts {
        for _ in 0..count {
            put_record(&mut message, bytes);
        }
    }
    for (place, count) in (6..).step_by(2).zip(counts) {
        message[place..place + 2].copy_from_slice(&[0, count]);
    }
    if is_strange(0) {
        let at = bytes.below(HEADER);
        message[at] = bytes.byte();
    }
    if is_strange(1) {
        // The letters of the question's name become lower case.
        for octet in &mut message[HEADER..question_end(asked) - 4] {
            *octet = octet.to_ascii_lowercase();
        }
    }
    if is_strange(2) {
        for _ in 0..1 + bytes.byte() % 6 {
            let at = bytes.below(message.len());
            message[at] = bytes.byte();
        }
    }
    if is_strange(3) {
        message.truncate(bytes.below(message.len() + 1));
    }
    message
}

/// Appends a record. After the end of the bytes, its owner is the question's name and its type is the one asked for.
fn put_record(message: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    let asked = {
        let end = question_end(message);
        u16::from_be_bytes([message[end - 4], message[end - 3]])
    };
    put_name(message, bytes);
    let kind = match bytes.byte() {
        0..130 => asked,
        130..190 => 5,
        190..210 => 6,
        210.. => bytes.pick(&TYPES),
    };
    let class = if bytes.byte() < 240 { 1 } else { bytes.pick(&[3, 254, 255, 0x1000]) };
    let ttl = bytes.pick(&[60, 300, 0, 1, 86_400, 1_000_000, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
    message.extend([kind.to_be_bytes(), u16::to_be_bytes(class)].concat());
    message.extend(ttl.to_be_bytes());
    message.extend([0, 0]);
    let start = message.len();
    put_data(message, kind, bytes);
    let length = message.len() - start;
    let length = if bytes.byte() < 245 { length as u16 } else { bytes.word() };
    message[start - 2..start].copy_from_slice(&length.to_be_bytes());
}

fn put_data(message: &mut Vec<u8>, kind: u16, bytes: &mut Bytes<'_>) {
    if bytes.byte() >= 235 {
        let length = bytes.below(80);
        message.extend(bytes.take(length));
        return;
    }
    match kind {
        1 => message.extend([192, 0, 2, bytes.byte()]),
        28 => message.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes.byte()]),
        2 | 5 | 12 => put_name(message, bytes),
        15 => {
            message.extend([0, bytes.byte()]);
            put_name(message, bytes);
        }
        16 => {
            for _ in 0..bytes.byte() % 16 {
                let length = bytes.byte() % 32;
                let text = bytes.take(length.into());
                message.push(text.len() as u8);
                message.extend(text);
            }
        }
        33 => {
            message.extend([0, 1, 0, bytes.byte(), 0x13, 0xc4]);
            put_name(message, bytes);
        }
        6 => {
            put_name(message, bytes);
            put_name(message, bytes);
            message.extend([0; 16]);
            message.extend(bytes.pick(&[30u32, 0, 1, 10_800, 0x7fff_ffff, u32::MAX]).to_be_bytes());
        }
        64 | 65 => {
            message.extend([0, bytes.byte()]);
            put_name(message, bytes);
            for key in 0..bytes.byte() % 4 {
                let length = bytes.byte() % 12;
                message.extend([0, key, 0, length]);
                let value = bytes.take(length.into());
                message.extend(value);
                message.resize(message.len() + usize::from(length) - value.len(), 1);
            }
        }
        _ => {
            let length = bytes.below(64);
            message.extend(bytes.take(length));
        }
    }
}

/// Appends a name in wire format. After the end of the bytes, it is the name of the question.
fn put_name(message: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    match bytes.byte() {
        0..90 => message.extend([0xc0, 12]),
        90..180 => put_labels(message, bytes.pick(&NAMES)),
        180..200 => {
            let [high, low] = (bytes.below(message.len()) as u16 | 0xc000).to_be_bytes();
            message.extend([high, low]);
        }
        200..220 => {
            message.extend([1, b'a' + bytes.byte() % 26]);
            message.extend([0xc0, 12]);
        }
        220..240 => {
            for _ in 0..bytes.byte() % 6 {
                let length = 1 + bytes.byte() % 63;
                message.push(length);
                let octet = bytes.byte();
                message.resize(message.len() + usize::from(length), octet);
            }
            message.push(0);
        }
        240..250 => message.push(0),
        250.. => message.extend([bytes.byte(), bytes.byte()]),
    }
}

fn put_labels(message: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
}
