//! Wrong scripts, to check that the interpreter detects the errors.

use super::world::Stop;
use super::{executor, parser};

const OPEN: &str = "
0.0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0.0 bind(3, ..., ...) = 0
+0.0 listen(3, 8) = 0
+0.0 < S 0:0(0) win 65535 <mss 1460>
+0.0 > S. 0:0(0) ack 1 win 65535 <mss 1460>
+0.1 < . 1:1(0) ack 1 win 65535
+0.0 accept(3, ..., ...) = 4
";

/// The rest of a script after the handshake, and the expected error message.
const WRONG: [(&str, &str); 14] = [
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > P. 2:12(10) ack 1\n", "different: sequence number"),
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > P. 1:11(10) ack 2\n", "different: acknowledgement"),
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > . 1:11(10) ack 1\n", "different: flags"),
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > P. 1:10(9) ack 1\n", "different: length"),
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > P. 1:11(10) ack 1 win 7\n", "different: window"),
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > P. 1:11(10) ack 1 <nop,nop,nop,nop>\n", "different: options"),
    ("+0.0 write(4, ..., 10) = 10\n+0.0 > [ect0] P. 1:11(10) ack 1\n", "different: ECN field"),
    ("+0.0 write(4, ..., 10) = 10\n+0.1 > P. 1:11(10) ack 1\n", "different: time"),
    ("+0.0 > P. 1:11(10) ack 1\n", "nothing was sent"),
    ("+0.0 write(4, ..., 10) = 10\n", "the script ends, but there is also"),
    ("+0.0 write(4, ..., 10) = 9\n", "write: 10 where the script has 9"),
    ("+0.0 read(4, ..., 10) = -1 EAGAIN (none)\n", "would wait for ever"),
    ("+0.0...0.5 read(4, ..., 10) = 10\n+0.1 < P. 1:11(10) ack 1 win 100\n+0.04 > . 1:1(0) ack 11\n", "it ends at"),
    ("+0.0 %{ assert tcpi_state == TCPI_CLOSED }%\n", "does not hold"),
];

/// Returns the scripts that pass although they are wrong, or fail for another reason.
pub(crate) fn run() -> Vec<String> {
    let mut failures = Vec::new();
    for (text, reason) in WRONG {
        let outcome = match parser::parse(&format!("{OPEN}{text}"), &[]) {
            Ok(script) => executor::run(&script, false),
            Err(unreadable) => {
                failures.push(format!("{text:?} cannot be read: {unreadable:?}"));
                continue;
            }
        };
        match outcome.stop {
            Some(Stop::Failed { message, .. }) if message.contains(reason) => {}
            stop => failures.push(format!("{text:?} should fail with {reason:?}, and comes to {stop:?}")),
        }
    }
    failures
}
