//! Parsing of the values of options: times, probabilities, rates, numbers.
//!
//! Each function returns an error message that begins with the value: `5: ...`.

use core::time::Duration;

/// Parses a time: a decimal number with a unit, or 0.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text}: not a time such as 5ms, 1.5s or 250us");
    let (number, unit) = split_unit(text).ok_or_else(problem)?;
    let nanoseconds = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "" if number == 0.0 => 0.0,
        "" => return Err(format!("{text}: a time needs a unit, ns, us, ms or s, such as {text}ms")),
        _ => return Err(problem()),
    };
    let nanoseconds = (number * nanoseconds).round();
    // Smaller values fit, and are exact enough for a time in seconds.
    if nanoseconds >= u64::MAX as f64 {
        return Err(format!("{text}: too long a time"));
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

/// Parses a time to wait for the network: like [`duration`], but a number without a unit is in seconds.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let is_number = split_unit(text).is_some_and(|(_, unit)| unit.is_empty());
    if is_number { duration(&format!("{text}s")) } else { duration(text) }
}

/// Parses a probability: a percentage, or a number from 0 to 1.
pub(super) fn probability(text: &str) -> Result<f64, String> {
    let problem = || format!("{text}: not a probability such as 1% or 0.01");
    let probability = match text.strip_suffix('%') {
        Some(percentage) => decimal(percentage).ok_or_else(problem)? / 100.0,
        // A whole number 1 may also be meant as a percentage.
        None if text == "1" => return Err("1: write 1% or 100%, whichever is meant".into()),
        None => decimal(text).ok_or_else(problem)?,
    };
    if probability > 1.0 {
        return Err(match text.strip_suffix('%') {
            Some(_) => format!("{text}: more than 100%"),
            None => format!("{text}: more than 1; for a percentage write {text}%"),
        });
    }
    Ok(probability)
}

/// Parses a rate in bits per second, with the units of `tc(8)`: bit, kbit, Mbit, Gbit.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    let problem = || format!("{text}: not a rate such as 100Mbit; it takes the units bit, kbit, Mbit and Gbit");
    let (number, unit) = split_unit(text).ok_or_else(problem)?;
    let unit = match unit.strip_suffix("/s").unwrap_or(unit).to_ascii_lowercase().as_str() {
        "bit" => 1.0,
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        _ => return Err(problem()),
    };
    let rate = (number * unit).round();
    if rate < 1.0 {
        return Err(format!("{text}: less than one bit per second"));
    }
    if rate >= u64::MAX as f64 {
        return Err(format!("{text}: too high a rate"));
    }
    Ok(rate as u64)
}

/// Parses a number of bytes, with the units K, M and G, each 1024 times the one before.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let problem = || format!("{text}: not a size such as 64M; it takes the units K, M and G, or none");
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(problem()),
    };
    let number: usize = whole(number).map_err(|_no_number| problem())?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text}: too large"))
}

/// Parses a switch.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{text}: it takes on or off, and is on without a value")),
    }
}

/// Puts the value of a key in its place, which is empty unless the key was given before.
pub(super) fn once<T>(place: &mut Option<T>, text: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{text}: given twice")),
    }
}

/// Parses a whole number. A sign is a mistake.
pub(super) fn whole<T: core::str::FromStr>(text: &str) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| format!("{text}: not a whole number, or too large"))
}

/// Splits a text into a decimal number and the unit that follows it.
fn split_unit(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((decimal(number)?, unit))
}

/// Parses digits with at most one point. Other forms that `f64::from_str` accepts (`inf`, `1e3`, `-1`) are mistakes
/// here.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = if plain { text.parse().ok()? } else { return None };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, nanoseconds) in
            [("5ms", 5_000_000), ("1.5s", 1_500_000_000), ("250us", 250_000), ("7ns", 7), ("0", 0), ("0.1ms", 100_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "ms", "5", "5 ms", "5min", "-5ms", "1e3ms", "infs", "1.2.3s", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("5"), Err("5: a time needs a unit, ns, us, ms or s, such as 5ms".into()));
    }

    #[test]
    fn a_time_to_wait_without_a_unit_is_in_seconds() {
        for (text, milliseconds) in [("5", 5000), ("0", 0), ("1.5", 1500), ("5s", 5000), ("20ms", 20)] {
            assert_eq!(patience(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "soon", "5x", "-5", "1.2.3", "99999999999999999999"] {
            assert!(patience(text).is_err(), "{text}");
        }
    }

    #[test]
    fn probabilities_are_percentages_or_fractions() {
        for (text, value) in [("1%", 0.01), ("0.01", 0.01), ("100%", 1.0), ("1.0", 1.0), ("0", 0.0), ("0.5%", 0.005)] {
            assert_eq!(probability(text), Ok(value), "{text}");
        }
        for text in ["", "%", "1", "5", "101%", "-1%", "nan", "inf", "1e-2", "1 %"] {
            assert!(probability(text).is_err(), "{text}");
        }
        assert_eq!(probability("5"), Err("5: more than 1; for a percentage write 5%".into()));
    }

    #[test]
    fn rates_are_bits_per_second() {
        for (text, value) in [
            ("100Mbit", 100_000_000),
            ("1gbit", 1_000_000_000),
            ("64kbit/s", 64_000),
            ("9bit", 9),
            ("1.5Mbit", 1_500_000),
        ] {
            assert_eq!(rate(text), Ok(value), "{text}");
        }
        for text in ["", "100", "Mbit", "0bit", "0.1bit", "100MB", "-1bit", "99999999999999Gbit"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_with_a_unit() {
        for (text, value) in [("0", 0), ("512", 512), ("4K", 4096), ("64M", 64 << 20), ("2G", 2 << 30)] {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["", "K", "1.5M", "-1", "4k", "4KB", "99999999999G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_no_sign_and_fit() {
        assert_eq!(whole::<u64>("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "+1", "-1", "1.0", "18446744073709551616", "0x10"] {
            assert!(whole::<u64>(text).is_err(), "{text}");
        }
    }
}
