//! `std::net`, a number with a defect that few orders of events show: `std_udp_counter serve ADDRESS:PORT CLIENTS` keeps it
//! for so many clients, and says it once each of them has written. `std_udp_counter add ADDRESS:PORT` reads it, at a
//! moment of the next tenth of a second by chance, and writes one more. What another client has written meanwhile is lost.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;
use std::{env, thread};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", address, clients] => serve(address, clients.parse().expect("a number")),
        ["add", address] => add(address),
        _ => panic!("serve ADDRESS:PORT CLIENTS, or add ADDRESS:PORT"),
    }
}

fn serve(address: &str, clients: usize) {
    let socket = UdpSocket::bind(address).expect("a socket");
    let (mut number, mut written, mut buffer) = (0, 0, [0; 100]);
    while written < clients {
        let (length, client) = socket.recv_from(&mut buffer).expect("a question");
        let question = str::from_utf8(&buffer[..length]).expect("text");
        if let Some(wanted) = question.strip_prefix("write ") {
            number = wanted.parse::<u64>().expect("a number");
            written += 1;
        }
        socket.send_to(number.to_string().as_bytes(), client).expect("sent");
    }
    println!("{number}");
}

fn add(address: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect(address).expect("connected");
    thread::sleep(Duration::from_millis(RandomState::new().build_hasher().finish() % 100));
    let number = ask(&socket, "read");
    ask(&socket, &format!("write {}", number + 1));
}

fn ask(socket: &UdpSocket, question: &str) -> u64 {
    let mut buffer = [0; 100];
    loop {
        let answer = socket.send(question.as_bytes()).and_then(|_| socket.recv(&mut buffer));
        match answer {
            Ok(length) => return str::from_utf8(&buffer[..length]).expect("text").parse().expect("a number"),
            // The server has not begun.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => thread::sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
}
