//! Tokenizes scripts, without comments and parts excluded by `#ifdef`.

/// A token, and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Word(String),
    Integer(i64),
    /// A number with a decimal point, as written: `.5` may also be flags.
    Float(String),
    Text(String),
    BackQuoted(String),
    Code(String),
    /// A whole `--name=value`, without the dashes.
    Option(String),
    Address(String),
    Ellipsis,
    Symbol(char),
}

/// A syntax error, and its line.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Blanks out the parts that are not for any of `symbols`, as the C preprocessor does. Line numbers do not change.
pub(crate) fn preprocess(source: &str, symbols: &[&str]) -> String {
    let mut open: Vec<bool> = Vec::new();
    let mut output = String::with_capacity(source.len());
    for line in source.lines() {
        let directive = line.trim_start().strip_prefix('#').map(str::trim);
        let words: Vec<&str> = directive.unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            ["ifdef", symbol, ..] => open.push(symbols.contains(symbol)),
            ["ifndef", symbol, ..] => open.push(!symbols.contains(symbol)),
            ["if", condition, ..] => open.push(*condition != "0"),
            ["else", ..] => {
                if let Some(last) = open.last_mut() {
                    *last = !*last;
                }
            }
            ["endif", ..] => {
                open.pop();
            }
            _ if directive.is_none() && open.iter().all(|shown| *shown) => output.push_str(line),
            _ => {}
        }
        output.push('\n');
    }
    output
}

/// Whether a script has parts that depend on symbols.
pub(crate) fn has_variants(source: &str) -> bool {
    source.lines().any(|line| line.trim_start().starts_with("#ifdef") || line.trim_start().starts_with("#ifndef"))
}

/// Tokenizes a script.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer { rest: source, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token>, Error> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if self.rest.starts_with("//") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.delimited("/*", "*/")?;
            } else {
                break;
            }
        }
        let line = self.line;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let kind = match first {
            '"' => Kind::Text(self.quoted('"')?),
            '`' => Kind::BackQuoted(self.quoted('`')?),
            '%' if self.rest.starts_with("%{") => Kind::Code(self.delimited("%{", "}%")?.trim().to_owned()),
            '-' if self.rest.starts_with("--") => Kind::Option(self.option()),
            '.' if self.rest.starts_with("...") => {
                self.take(3);
                Kind::Ellipsis
            }
            _ => match self.address() {
                Some(address) => Kind::Address(address),
                None => self.number_or_word()?,
            },
        };
        Ok(Some(Token { line, kind }))
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error { line: self.line, message: message.into() }
    }

    fn delimited(&mut self, open: &str, close: &str) -> Result<&'a str, Error> {
        let inside = &self.rest[open.len()..];
        let length = inside.find(close).ok_or_else(|| self.error(format!("{open} without {close}")))?;
        self.take(open.len() + length + close.len());
        Ok(&inside[..length])
    }

    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|&(_, character)| {
            let is_end = character == quote && !escaped;
            escaped = character == '\\' && !escaped;
            is_end
        });
        let (end, _) = end.ok_or_else(|| self.error(format!("{quote} without its pair")))?;
        let text = self.rest[1..end].to_owned();
        self.take(end + 1);
        Ok(text)
    }

    /// `--name=value`, up to the next blank that is not in quotes.
    fn option(&mut self) -> String {
        let mut quote = None;
        let end = self.rest.find(|character: char| {
            match quote {
                Some(open) if open == character => quote = None,
                None if matches!(character, '"' | '`') => quote = Some(character),
                _ => {}
            }
            quote.is_none() && character.is_whitespace()
        });
        self.take(end.unwrap_or(self.rest.len()))[2..].to_owned()
    }

    /// An IP address. A range of sequence numbers is not one.
    fn address(&mut self) -> Option<String> {
        let length =
            self.rest.find(|character: char| !character.is_ascii_hexdigit() && !matches!(character, ':' | '.'));
        let run = &self.rest[..length.unwrap_or(self.rest.len())];
        let is_v4 = run.parse::<std::net::Ipv4Addr>().is_ok();
        let is_v6 = run.parse::<std::net::Ipv6Addr>().is_ok();
        (is_v4 || is_v6).then(|| self.take(run.len()).to_owned())
    }

    fn number_or_word(&mut self) -> Result<Kind, Error> {
        let negative = usize::from(self.rest.starts_with('-'));
        let body = &self.rest[negative..];
        let digits = body.find(|character: char| !character.is_ascii_digit()).unwrap_or(body.len());
        let fraction = body[digits..]
            .strip_prefix('.')
            .map_or(0, |after| after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len()));
        if fraction > 0 {
            return Ok(Kind::Float(self.take(negative + digits + 1 + fraction).to_owned()));
        }
        let word = body.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let word = &body[..word.unwrap_or(body.len())];
        if word.is_empty() || (negative > 0 && word.len() != digits) {
            let symbol = self.rest.chars().next().unwrap_or_default();
            self.take(symbol.len_utf8());
            return Ok(Kind::Symbol(symbol));
        }
        let text = self.take(negative + word.len());
        let number = match word.strip_prefix("0x") {
            Some(hexadecimal) if !hexadecimal.is_empty() => i64::from_str_radix(hexadecimal, 16).ok(),
            _ if word.len() == digits => {
                Some(text.parse().map_err(|_| self.error(format!("the number {text} is out of range")))?)
            }
            _ => None,
        };
        Ok(number.map_or_else(|| Kind::Word(text.to_owned()), Kind::Integer))
    }
}
