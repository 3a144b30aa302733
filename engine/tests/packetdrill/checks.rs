//! Compares a sent segment with the one that a script expects, and describes differences in packetdrill's words.

use std::fmt;

use super::options::{TcpOption, TcpOptions};
use super::script::{Ecn, Flags, Micros, Segment, Start, When};
use super::tolerances::{Tolerance, Tolerances};

/// The differences; empty if there are none.
pub(crate) fn differences(expected: &Segment, got: &Segment, checks: &mut Checks<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |name: &str, is_same: bool| {
        if !is_same {
            found.push(name.to_owned());
        }
    };
    let is_again = checks.is_fin_again(expected, got);
    check("flags", is_again || expected.flags == got.flags);
    check("sequence number", is_again || expected.start == Start::Any || number(expected.start) == number(got.start));
    check("length", expected.length == got.length);
    check("acknowledgement", expected.acknowledgement == got.acknowledgement);
    check("window", checks.is_window(expected.window, got.window));
    check("urgent pointer", expected.urgent == got.urgent);
    check("options", checks.are_options(&expected.options, &got.options));
    check("ECN field", is_ecn(expected.ip.ecn, got.ip.traffic_class.unwrap_or_default()));
    check("type of service", checks.is_in_header(expected.ip.traffic_class, got.ip.traffic_class, got));
    check("time to live", checks.is_in_header(expected.ip.hop_limit, got.ip.hop_limit, got));
    found
}

/// The parameters of the comparison.
pub(crate) struct Checks<'a> {
    pub(crate) tolerances: &'a mut Tolerances,
    /// The window scale of our windows.
    pub(crate) shift: u8,
    /// The size of a segment, if the right edge of the window has not moved.
    pub(crate) held: Option<usize>,
    /// The relative number of our FIN, if it was sent.
    pub(crate) sent_fin: Option<u32>,
    /// The tick of the timestamp clock, if timestamps are compared.
    pub(crate) tick: Option<Micros>,
    pub(crate) tolerance: Micros,
}

impl Checks<'_> {
    fn is_window(&mut self, expected: Option<u16>, got: Option<u16>) -> bool {
        let (Some(expected), Some(got)) = (expected, got) else { return true };
        if expected == got {
            return true;
        }
        let missing = usize::from(expected.saturating_sub(got)) << self.shift;
        if self.shift > 0 && expected == got.saturating_add(1) {
            return self.tolerates(Tolerance::WindowRoundedUp);
        }
        expected > got && self.held.is_some_and(|segment| missing < segment) && self.tolerates(Tolerance::WindowHeld)
    }

    /// Whether the script expects our FIN again, where the engine only acknowledges.
    fn is_fin_again(&mut self, expected: &Segment, got: &Segment) -> bool {
        got.flags == Flags::ACK
            && expected.flags == Flags(Flags::ACK.0 | Flags::FIN.0)
            && expected.length == 0
            && number(expected.start).wrapping_add(1) == number(got.start)
            && self.sent_fin == Some(number(expected.start))
            && self.tolerates(Tolerance::FinAgain)
    }

    fn is_in_header(&mut self, expected: Option<u8>, got: Option<u8>, packet: &Segment) -> bool {
        expected.is_none()
            || expected == got
            || (packet.flags.has(Flags::RST) && self.tolerates(Tolerance::HeaderOfResets))
    }

    fn are_options(&mut self, expected: &TcpOptions, got: &TcpOptions) -> bool {
        let (TcpOptions::List(expected), TcpOptions::List(got)) = (expected, got) else { return true };
        if self.are_same(expected, got) {
            return true;
        }
        let proper = |options: &[TcpOption]| -> Vec<TcpOption> {
            options.iter().filter(|option| !option.is_padding()).cloned().collect()
        };
        self.are_same(&proper(expected), &proper(got)) && self.tolerates(Tolerance::Padding)
    }

    fn are_same(&self, expected: &[TcpOption], got: &[TcpOption]) -> bool {
        // Trailing padding is part of a script's options only if the script contains it.
        let trailing = got.iter().rev().take_while(|option| **option == TcpOption::EndOfList).count();
        let shorter = &got[..got.len() - trailing];
        [got, shorter].iter().any(|got| {
            expected.len() == got.len()
                && expected.iter().zip(*got).all(|(wanted, option)| self.is_option(wanted, option))
        })
    }

    fn is_option(&self, wanted: &TcpOption, got: &TcpOption) -> bool {
        match (wanted, got) {
            (
                TcpOption::Timestamps { value: wanted_value, echo: wanted_echo, .. },
                TcpOption::Timestamps { value: Some(value), echo, .. },
            ) => wanted_echo == echo && wanted_value.is_none_or(|wanted| self.is_timestamp(wanted, *value)),
            _ => wanted == got,
        }
    }

    fn is_timestamp(&self, wanted: u32, got: u32) -> bool {
        let difference = Micros::from(got.wrapping_sub(wanted).cast_signed().unsigned_abs());
        self.tick.is_none_or(|tick| difference * tick <= self.tolerance)
    }

    fn tolerates(&mut self, tolerance: Tolerance) -> bool {
        self.tolerances.allow(tolerance)
    }
}

const fn number(start: Start) -> u32 {
    match start {
        Start::Relative(number) | Start::Absolute(number) => number,
        Start::Any => 0,
    }
}

const fn is_ecn(expected: Option<Ecn>, traffic_class: u8) -> bool {
    match (expected, traffic_class & 3) {
        (None, _)
        | (Some(Ecn::NotCapable), 0)
        | (Some(Ecn::Ect1 | Ecn::Ect01), 1)
        | (Some(Ecn::Ect0 | Ecn::Ect01), 2)
        | (Some(Ecn::CongestionExperienced), 3) => true,
        (Some(_), _) => false,
    }
}

/// The earliest and the latest time at which something may happen.
pub(crate) fn moments(time: When, now: Micros, tolerance: Micros) -> Option<(Micros, Micros)> {
    let (first, last) = match time {
        When::Any => return None,
        When::Absolute(at) => (at, at),
        When::Relative(after) => (now + after, now + after),
        When::AbsoluteRange(first, last) => (first, last),
        When::RelativeRange(first, last) => (now + first, now + last),
    };
    Some((first - tolerance, last + tolerance))
}

/// A time in packetdrill's notation.
pub(crate) fn seconds(time: Micros) -> String {
    let sign = if time < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", time.abs() / 1_000_000, time.abs() % 1_000_000)
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ecn) = self.ip.ecn {
            let name = match ecn {
                Ecn::NotCapable => "noecn",
                Ecn::Ect0 => "ect0",
                Ecn::Ect1 => "ect1",
                Ecn::Ect01 => "ect01",
                Ecn::CongestionExperienced => "ce",
            };
            write!(formatter, "[{name}] ")?;
        } else if let Some(traffic_class) = self.ip.traffic_class.filter(|class| *class != 0) {
            write!(formatter, "(tos {traffic_class:#04x}) ")?;
        }
        write!(formatter, "{} ", self.flags.text())?;
        match self.start {
            Start::Any => write!(formatter, "...({})", self.length)?,
            Start::Relative(start) | Start::Absolute(start) => {
                let end = u64::from(start) + self.length as u64;
                write!(formatter, "{start}:{end}({})", self.length)?;
                if matches!(self.start, Start::Absolute(_)) {
                    formatter.write_str("!")?;
                }
            }
        }
        if self.flags.has(Flags::ACK) || self.acknowledgement != 0 {
            write!(formatter, " ack {}", self.acknowledgement)?;
        }
        if let Some(window) = self.window {
            write!(formatter, " win {window}")?;
        }
        if self.urgent != 0 {
            write!(formatter, " urg {}", self.urgent)?;
        }
        write!(formatter, "{}", self.options)
    }
}
