//! The table of the counters of interfaces and hubs.

use std::fmt::Write as _;

use crate::device::hub::{Hub, HubStatistics};
use crate::interface::{Interface, Statistics};

const HEADER: [&str; 9] =
    ["interface", "kind", "packets in", "bytes in", "packets out", "bytes out", "dropped", "errors", "TCP failed"];

/// The table, with a line for each interface and each hub.
pub(super) fn table(interfaces: &[Interface], hubs: &[(String, Hub)]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(interfaces.iter().map(|interface| row(interface.name(), interface.driver(), &interface.statistics())));
    let mut text = align(&rows);
    for (name, hub) in hubs {
        text += &hub_line(name, &hub.statistics());
    }
    text
}

fn row(name: &str, kind: &str, statistics: &Statistics) -> [String; 9] {
    let Statistics { received, sent, tcp_resets, tcp_timeouts, backlog_drops, datagram_drops, .. } = statistics;
    [
        name.to_owned(),
        kind.to_owned(),
        received.packets.to_string(),
        received.bytes.to_string(),
        sent.packets.to_string(),
        sent.bytes.to_string(),
        (received.dropped + sent.dropped + backlog_drops + datagram_drops).to_string(),
        (received.errors + sent.errors).to_string(),
        (tcp_resets + tcp_timeouts).to_string(),
    ]
}

fn hub_line(name: &str, statistics: &HubStatistics) -> String {
    let HubStatistics { delivered, lost, duplicated, reordered, dropped_full, malformed } = statistics;
    format!(
        "hub {name}: {delivered} frames delivered, {lost} lost, {duplicated} duplicated, {reordered} reordered, {} dropped\n",
        dropped_full + malformed
    )
}

/// Aligns the first two columns to the left, and the numbers to the right.
fn align(rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            // Writing to a string cannot fail.
            let _ = match column {
                0 => write!(line, "{cell:width$}"),
                1 => write!(line, "  {cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Counters;

    #[test]
    fn columns_line_up_and_nothing_is_cut() {
        let statistics = Statistics {
            received: Counters { packets: 12, bytes: 3_456_789_012, errors: 1, dropped: 2 },
            sent: Counters { packets: 7, bytes: 8, errors: 1, dropped: 0 },
            tcp_resets: 1,
            tcp_timeouts: 2,
            backlog_drops: 3,
            datagram_drops: 4,
            ..Statistics::default()
        };
        let rows =
            [HEADER.map(str::to_owned), row("lo", "loopback", &statistics), row("an-interface-15", "tap", &statistics)];
        let text = align(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        assert!(lines[1].starts_with("lo               loopback"), "{text}");
        let cells: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(cells, ["an-interface-15", "tap", "12", "3456789012", "7", "8", "9", "2", "3"]);
    }

    #[test]
    fn hubs_have_a_line_of_their_own() {
        let statistics =
            HubStatistics { delivered: 5, lost: 4, duplicated: 3, reordered: 2, dropped_full: 1, malformed: 1 };
        let line = "hub net: 5 frames delivered, 4 lost, 3 duplicated, 2 reordered, 2 dropped\n";
        assert_eq!(hub_line("net", &statistics), line);
    }
}
