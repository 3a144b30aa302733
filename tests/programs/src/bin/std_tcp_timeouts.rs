//! `std::net`: reads and writes fail after their timeout, and can be repeated.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use xila_network_programs::std_net::{connected, each_family, expect_end};

/// wasi-libc's number for an option that it does not have.
const ENOPROTOOPT: i32 = 50;

const SHORT: Duration = Duration::from_millis(50);

fn main() {
    each_family(|host| {
        let (mut client, mut server) = connected(host);
        match server.read_timeout() {
            Ok(limit) => assert_eq!(limit, None),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(ENOPROTOOPT), "{error}");
                println!("skipped: this wasi-libc knows no timeouts yet");
                return;
            }
        }
        server.set_read_timeout(Some(SHORT)).expect("set");
        assert_eq!(server.read_timeout().expect("read"), Some(SHORT));
        let mut buffer = [0; 10_000];
        let error = server.read(&mut buffer).expect_err("nothing was sent");
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");

        client.write_all(b"late").expect("written");
        // With a timeout that expires only if something is wrong.
        server.set_read_timeout(Some(Duration::from_secs(50))).expect("set");
        server.read_exact(&mut buffer[..4]).expect("read");
        assert_eq!(&buffer[..4], b"late");
        server.set_read_timeout(None).expect("set");
        assert_eq!(server.read_timeout().expect("read"), None);

        client.set_write_timeout(Some(SHORT)).expect("set");
        assert_eq!(client.write_timeout().expect("read"), Some(SHORT));
        let chunk = [7; 100_000];
        let mut sent = 0;
        let error = loop {
            match client.write(&chunk) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
            assert!(sent < 1 << 30, "it is never full");
        };
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        // Exactly the bytes that were reported as written were sent.
        let mut received = 0;
        while received < sent {
            let count = server.read(&mut buffer).expect("read");
            assert_ne!(count, 0, "it ended after {received} bytes of {sent}");
            assert!(buffer[..count].iter().all(|byte| *byte == 7));
            received += count;
        }
        drop(client);
        expect_end(&server);
    });
}
