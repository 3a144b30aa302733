//! A send that is not permitted traps: without a permit (`unasked`), `beyond` a permit, or `twice` on one permit.

use xila_network_programs::p2::*;

fn main() {
    let how = std::env::args().nth(1).expect("how");
    let (socket, local) = bound_udp(IpAddressFamily::Ipv4);
    let Association { outgoing, incoming: _incoming } = stream(&socket, None).expect("streams");
    let one = [datagram(b"x", Some(local))];
    let permit = || usize::try_from(outgoing.check_send().expect("a permit")).expect("a number");
    let result = match how.as_str() {
        "unasked" => outgoing.send(&one),
        "beyond" => outgoing.send(&vec![datagram(b"x", Some(local)); permit() + 1]),
        "twice" => {
            assert_ne!(permit(), 0);
            assert_eq!(outgoing.send(&one), Ok(1));
            outgoing.send(&one)
        }
        _ => panic!("what is {how}?"),
    };
    println!("{result:?} instead of a trap");
}
