//! A write that is not permitted traps: without a permit (`unasked`), `beyond` a permit, or `twice` on one permit.

use xila_network_programs::p2::*;

fn main() {
    let how = std::env::args().nth(1).expect("how");
    let (client, _server) = connected(IpAddressFamily::Ipv4);
    let permit = || usize::try_from(client.output.check_write().expect("an open stream")).expect("a permit");
    let result = match how.as_str() {
        "unasked" => client.output.write(b"x"),
        "beyond" => client.output.write(&vec![0; permit() + 1]),
        "twice" => {
            assert_ne!(permit(), 0);
            client.output.write(b"x").expect("what was permitted");
            client.output.write(b"x")
        }
        "zeroes" => client.output.write_zeroes(permit() as u64 + 1),
        _ => panic!("what is {how}?"),
    };
    println!("{result:?} instead of a trap");
}
