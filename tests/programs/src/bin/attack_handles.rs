#![expect(unsafe_code, reason = "a handle that the program was never given can only be forged by unsafe code")]
//! Uses a handle that the program does not have.
//!
//! Arguments: the way, and a number for the ways that need one.

use xila_network_programs::p3;
use xila_network_programs::raw::{TcpConnection, TcpListener, listen};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let mut arguments = std::env::args().skip(1);
    let way = arguments.next().expect("a way");
    let number = arguments.next().map_or(0, |number| number.parse::<u32>().expect("a number"));
    // Something of its own, which the host must release.
    let _own = UdpSocket::bind("10.0.0.1:0").expect("a socket");
    let listener = listen(ipv4_loopback(0));
    println!("begun");
    if way == "listener" && number == listener.handle() {
        // This one is the program's own.
        println!("own");
        return;
    }
    match way.as_str() {
        // A number that was never given out, or one that belongs to another resource.
        "connection" => drop(unsafe { TcpConnection::from_handle(number) }.local_address()),
        "listener" => drop(unsafe { TcpListener::from_handle(number) }.accept().await),
        "socket" => drop(unsafe { p3::UdpSocket::from_handle(number) }.receive().await),
        "connect" => drop(unsafe { p3::TcpSocket::from_handle(number) }.connect(p3::at("10.0.0.2:80")).await),
        // The number of a listener that the program has, as a connection.
        "other-type" => drop(unsafe { TcpConnection::from_handle(listener.handle()) }.local_address()),
        // A listener that is dropped already.
        "dropped" => {
            let copy = unsafe { TcpListener::from_handle(listener.handle()) };
            drop(listener);
            drop(copy.accept().await);
        }
        "dropped-twice" => {
            let copy = unsafe { TcpListener::from_handle(listener.handle()) };
            drop(listener);
            drop(copy);
        }
        // The handle is dropped while a call with it waits.
        "dropped-while-in-use" => {
            let copy = unsafe { TcpListener::from_handle(listener.handle()) };
            let mut accept = Box::pin(listener.accept());
            assert!(poll_once(&mut accept).await.is_pending());
            drop(copy);
            drop(accept.await);
        }
        other => panic!("no way {other}"),
    }
    println!("survived");
}
