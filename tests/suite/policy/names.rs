//! The name server of the peer.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use xila_network_host::socket::{Network, UdpSocket};

use crate::world::{PEER, at};

/// The answers for names: addresses and their time to live in seconds, one list for each question. The last list stays.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Vec<Answer>>>>);

/// The time to live of answers that no test has set.
const TTL: u32 = 600;

/// The domain whose names have a time to live of zero, so that nobody keeps them.
const FLEETING: &str = ".fleeting";

/// The answer to one question.
#[derive(Clone)]
struct Answer {
    addresses: Vec<Ipv4Addr>,
    ttl: u32,
}

impl Names {
    /// Adds an answer, which is given to the first question for which there is no earlier answer.
    pub(crate) fn add(&self, name: &str, addresses: &[[u8; 4]], ttl: u32) {
        let answer = Answer { addresses: addresses.iter().copied().map(Ipv4Addr::from).collect(), ttl };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().push(answer);
    }

    fn next(&self, name: &str) -> Answer {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match names.get_mut(name) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            // The peer has every other name.
            None => {
                let ttl = if name.ends_with(FLEETING) { 0 } else { TTL };
                Answer { addresses: vec![Ipv4Addr::new(10, 0, 0, 2)], ttl }
            }
        }
    }
}

/// The types of records that the server has (RFC 1035 section 3.2.2).
const A: u8 = 1;
const PTR: u8 = 12;

/// Answers questions for A and PTR records, and others without a record (RFC 1035 section 4.1).
pub(crate) async fn serve(network: Network, names: Names) {
    let socket = UdpSocket::bind(&network, at(PEER, 53)).expect("the port is free");
    while let Ok(question) = socket.recv_datagram().await {
        let query = &question.data;
        let end = 12 + query[12..].iter().position(|byte| *byte == 0).expect("the end of the name");
        let text = query[13..end].iter().map(|byte| if *byte < 32 { '.' } else { char::from(*byte) });
        let name = text.collect::<String>().to_ascii_lowercase();
        // Names below this domain are never answered.
        if name.ends_with(".silent") {
            continue;
        }
        let record_type = query[end + 2];
        let (records, ttl): (Vec<Vec<u8>>, u32) = match record_type {
            A => {
                let Answer { addresses, ttl } = names.next(&name);
                (addresses.iter().map(|address| address.octets().to_vec()).collect(), ttl)
            }
            // Every address is that of the host `peer.`, for a time to live of zero, so that nobody keeps it.
            PTR => (vec![b"\x04peer\x00".to_vec()], 0),
            _ => (Vec::new(), 0),
        };
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::try_from(records.len()).expect("few records"), 0, 0, 0, 0]);
        answer.extend(&query[12..end + 5]);
        for record in records {
            answer.extend([0xc0, 12, 0, record_type, 0, 1]);
            answer.extend(ttl.to_be_bytes());
            answer.extend([0, u8::try_from(record.len()).expect("a short record")]);
            answer.extend(record);
        }
        if socket.send_to(&answer, question.remote).await.is_err() {
            return;
        }
    }
}
