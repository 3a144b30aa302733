//! The error of the parser: which word is wrong, and its message.

use core::fmt;
use core::iter::repeat;

/// The error for a text that is not a valid policy: the place, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column of the wrong word's first character, counted from 1.
    pub column: usize,
    /// The number of characters of the word; 0 if a word is missing.
    pub length: usize,
    /// What is wrong with the word.
    pub problem: String,
    /// The whole line.
    pub text: String,
}

impl fmt::Display for ParseError {
    /// Writes `3:11: …`, the line, and `^` marks below the word.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, length, problem, text } = self;
        // Tabs are kept, so that the marks are below the word whatever the width of a tab is.
        let indent: String = text
            .chars()
            .chain(repeat(' '))
            .take(column.saturating_sub(1))
            .map(|letter| if letter == '\t' { '\t' } else { ' ' })
            .collect();
        let marks = "^".repeat((*length).max(1));
        let text: String = text.chars().map(visible).collect();
        write!(formatter, "{line}:{column}: {problem}\n  {text}\n  {indent}{marks}")
    }
}

/// The character, or the replacement character for one that a terminal would obey instead of showing it.
fn visible(letter: char) -> char {
    let is_obeyed = letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if is_obeyed && letter != '\t' { char::REPLACEMENT_CHARACTER } else { letter }
}

impl core::error::Error for ParseError {}
