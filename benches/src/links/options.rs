//! The command line of the benchmark.

use std::path::PathBuf;

use super::endpoint::Buffer;

/// The help text.
pub const USAGE: &str = "\
just bench --bench links -- [OPTION]... [WORD]...
  Measures the rows in whose name every WORD is, such as: goodput 'loss 1 %'
  --list         prints the names of the rows
  --quick        runs of 3 seconds and one round: a glance, not a figure to quote
  --self-check   measures the kernel beside itself, to see what the benchmark itself gets wrong
  --verbose      prints each run, with what the link did to the frames
  --buffer BYTES gives our sockets buffers of this size instead of what they have by themselves
  --pcap PREFIX  captures the headers of what passes the sender's end of each run to PREFIX-...pcap";

/// The parsed command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Words that the name of a row has to contain.
    pub words: Vec<String>,
    /// Whether to print only the names of the rows.
    pub list: bool,
    /// Whether to make short runs.
    pub quick: bool,
    /// Whether the kernel is measured in place of our stack.
    pub self_check: bool,
    /// Whether to print the result of each run.
    pub verbose: bool,
    /// The buffers of our sockets.
    pub buffer: Buffer,
    /// The prefix of the paths of captures.
    pub pcap: Option<PathBuf>,
}

impl Options {
    /// Parses the arguments after the program's name. Those that `cargo bench` adds are ignored.
    ///
    /// # Errors
    /// A message that says what is wrong.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} takes a value"));
            match word.as_str() {
                "--bench" => {}
                "--list" => options.list = true,
                "--quick" => options.quick = true,
                "--self-check" => options.self_check = true,
                "--verbose" => options.verbose = true,
                "--buffer" => {
                    let bytes = value()?;
                    options.buffer = Some(bytes.parse().map_err(|_| format!("{bytes} is no number of bytes"))?);
                }
                "--pcap" => options.pcap = Some(value()?.into()),
                other if other.starts_with('-') => return Err(format!("there is no option {other}")),
                _ => options.words.push(word),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(words.iter().map(ToString::to_string))
    }

    #[test]
    fn words_and_options_may_be_mixed() {
        let options = parse(&["goodput", "--quick", "--buffer", "4096", "loss", "--bench"]).expect("all are known");
        assert_eq!(options.words, ["goodput", "loss"]);
        assert!(options.quick && !options.self_check);
        assert_eq!(options.buffer, Some(4096));
    }

    #[test]
    fn what_is_unknown_or_lacks_its_value_is_refused() {
        assert!(parse(&["--slow"]).is_err());
        assert!(parse(&["--pcap"]).is_err());
        assert!(parse(&["--buffer", "much"]).is_err());
    }
}
