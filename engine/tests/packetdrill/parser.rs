//! The parser: turns scripts into trees. The grammar is packetdrill's, including its FreeBSD branch.
//!
//! Everything other than TCP over a plain IP header (SCTP, UDP, GRE, MPLS, tunnels, MD5 signatures) is not supported:
//! the script is [`Unreadable::Unsupported`]. There are two extensions: `raw`, an option octet by octet, and `win *`.

mod expression;
mod packet;

use super::lexer::{self, Kind, Token};
use super::script::{Action, Event, Micros, Script, When};

/// Why a script cannot be parsed.
#[derive(Clone, Debug)]
pub(crate) enum Unreadable {
    /// A syntax error.
    Syntax { line: usize, message: String },
    /// The script uses an unsupported feature.
    Unsupported(String),
}

type Result<T> = std::result::Result<T, Unreadable>;

/// Parses a script. `symbols` are defined for its `#ifdef`.
pub(crate) fn parse(source: &str, symbols: &[&str]) -> Result<Script> {
    let tokens = lexer::tokens(&lexer::preprocess(source, symbols))
        .map_err(|error| Unreadable::Syntax { line: error.line, message: error.message })?;
    let mut parser = Parser { tokens, at: 0 };
    let mut script = Script { options: Vec::new(), events: Vec::new() };
    while let Some(Kind::Option(option)) = parser.peek().cloned() {
        parser.at += 1;
        let (name, value) = option.split_once('=').unwrap_or((option.as_str(), ""));
        if name == "udp_encapsulation" && value != "none" {
            return Err(Unreadable::Unsupported("TCP over UDP is not part of the engine".to_owned()));
        }
        // The value of a define keeps its quotes.
        let value = if name == "define" { value } else { value.trim_matches('"') };
        script.options.push((name.to_owned(), value.to_owned()));
    }
    parser.define(&script.options)?;
    while parser.peek().is_some() {
        script.events.push(parser.event()?);
    }
    Ok(script)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    /// Replaces the names defined by `--define=NAME=VALUE` with their tokens.
    fn define(&mut self, options: &[(String, String)]) -> Result<()> {
        for (name, value) in
            options.iter().filter(|(option, _)| option == "define").filter_map(|(_, define)| define.split_once('='))
        {
            let tokens = lexer::tokens(value)
                .map_err(|error| Unreadable::Syntax { line: error.line, message: error.message })?;
            let with_line = |line| tokens.iter().map(move |token| Token { line, kind: token.kind.clone() });
            self.tokens = std::mem::take(&mut self.tokens)
                .into_iter()
                .flat_map(|token| match &token.kind {
                    Kind::Word(word) if word == name => with_line(token.line).collect(),
                    _ => vec![token],
                })
                .collect();
        }
        Ok(())
    }

    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn peek_after(&self, count: usize) -> Option<&Kind> {
        self.tokens.get(self.at + count).map(|token| &token.kind)
    }

    fn line(&self) -> usize {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(at).map_or(1, |token| token.line)
    }

    fn next(&mut self) -> Option<Kind> {
        let token = self.tokens.get(self.at).map(|token| token.kind.clone());
        self.at += 1;
        token
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Unreadable::Syntax { line: self.line(), message: message.into() })
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T> {
        self.error(format!("{wanted} expected, not {:?}", self.peek()))
    }

    fn is_symbol(&self, symbol: char) -> bool {
        self.peek() == Some(&Kind::Symbol(symbol))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(found)) if found == word)
    }

    /// Consumes `symbol` if it is next.
    fn accept(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    /// Consumes `word` if it is next.
    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: char) -> Result<()> {
        if self.accept(symbol) { Ok(()) } else { self.unexpected(&format!("'{symbol}'")) }
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.accept_word(word) { Ok(()) } else { self.unexpected(word) }
    }

    fn integer<T: TryFrom<i64>>(&mut self) -> Result<T> {
        match self.peek() {
            Some(Kind::Integer(number)) => match T::try_from(*number) {
                Ok(value) => {
                    self.at += 1;
                    Ok(value)
                }
                Err(_) => self.error(format!("{number} is out of range")),
            },
            _ => self.unexpected("a number"),
        }
    }

    fn event(&mut self) -> Result<Event> {
        let line = self.line();
        if let Some(Kind::BackQuoted(command)) = self.peek() {
            // Commands before the first event and after the last one have no time.
            let action = Action::Command(command.clone());
            self.at += 1;
            return Ok(Event { line, time: When::Relative(0), action });
        }
        let time = self.when()?;
        let action = match self.peek() {
            Some(Kind::Symbol('<')) => Action::Inbound(self.packet()?),
            Some(Kind::Symbol('>')) => Action::Outbound(self.packet()?),
            Some(Kind::BackQuoted(command)) => {
                let action = Action::Command(command.clone());
                self.at += 1;
                action
            }
            Some(Kind::Code(code)) => {
                let action = Action::Code(code.clone());
                self.at += 1;
                action
            }
            Some(Kind::Word(_) | Kind::Ellipsis) => Action::Call(self.call()?),
            _ => return self.unexpected("a packet, a system call, a command or code"),
        };
        let is_ranged = !matches!(time, When::Absolute(_) | When::Relative(_));
        if is_ranged && !matches!(action, Action::Outbound(_)) {
            return self.error("only outbound packets have a range of times");
        }
        Ok(Event { line, time, action })
    }

    fn when(&mut self) -> Result<When> {
        if self.accept('*') {
            return Ok(When::Any);
        }
        let relative = self.accept('+');
        let start = self.time()?;
        if !self.accept('~') {
            return Ok(if relative { When::Relative(start) } else { When::Absolute(start) });
        }
        if relative {
            self.expect('+')?;
        }
        let end = self.time()?;
        if end < start {
            return self.error("the range of times goes backward");
        }
        Ok(if relative { When::RelativeRange(start, end) } else { When::AbsoluteRange(start, end) })
    }

    /// A time in seconds, as microseconds.
    fn time(&mut self) -> Result<Micros> {
        let text = match self.peek() {
            Some(Kind::Integer(seconds)) => seconds.to_string(),
            Some(Kind::Float(seconds)) => seconds.clone(),
            _ => return self.unexpected("a time"),
        };
        let Some(micros) = micros(&text) else { return self.error(format!("{text} is no time")) };
        self.at += 1;
        Ok(micros)
    }
}

fn micros(seconds: &str) -> Option<Micros> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let whole: Micros = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    if whole < 0 { None } else { Some(whole * 1_000_000 + fraction.parse::<Micros>().ok()?) }
}
