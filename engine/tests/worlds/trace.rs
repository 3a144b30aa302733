//! Prints packets in one line each, to debug a failed world: `XILA_TRACE=1`.

use core::fmt::Write;
use core::time::Duration;

use xila_network_engine::tcp::segment::Segment;
use xila_network_engine::wire::Ip;

pub(crate) fn line(now: Duration, from: usize, packet: &[u8]) -> String {
    let mut text = format!("{:>14.6} {from} ", now.as_secs_f64());
    let Some(ip) = Ip::parse(packet, 0, false) else { return text + "unreadable" };
    let Some(segment) = Segment::parse(ip.source, ip.destination, ip.payload, &[], false) else {
        return text + "malformed";
    };
    let control = segment.control;
    let bits = [
        (control.syn, 'S'),
        (control.fin, 'F'),
        (control.rst, 'R'),
        (control.psh, 'P'),
        (control.ack, '.'),
        (control.ece, 'E'),
        (control.cwr, 'W'),
    ];
    let _ = write!(text, "{}>{} ", segment.source_port, segment.destination_port);
    text.extend(bits.iter().filter(|(set, _)| *set).map(|(_, name)| name));
    let _ = write!(
        text,
        " {:?}:{:?}({}) ack {:?} win {} ",
        segment.sequence,
        segment.end(),
        segment.payload.len(),
        segment.acknowledgement,
        segment.window
    );
    if let Some(timestamp) = segment.options.timestamp {
        let _ = write!(text, "ts {}/{} ", timestamp.value, timestamp.echo);
    }
    if !segment.options.sack.is_empty() {
        let _ = write!(text, "sack {:?} ", segment.options.sack);
    }
    if let Some(mss) = segment.options.mss {
        let _ = write!(text, "mss {mss} scale {:?} ", segment.options.scale);
    }
    text
}
