//! System calls and the expressions in them.

use super::{Parser, Result};
use crate::packetdrill::lexer::Kind;
use crate::packetdrill::script::{Call, Value};

impl Parser {
    /// `[...end] name(arguments) = result [ERRNO] [(note)]`
    pub(super) fn call(&mut self) -> Result<Call> {
        let end = if self.peek() == Some(&Kind::Ellipsis) {
            self.at += 1;
            Some(self.time()?)
        } else {
            None
        };
        let Some(Kind::Word(name)) = self.next() else { return self.unexpected("the name of a system call") };
        self.expect('(')?;
        let arguments = self.list(')')?;
        self.expect('=')?;
        let result = self.value()?;
        let error = match (self.peek(), self.peek_after(1)) {
            (Some(Kind::Word(error)), Some(Kind::Symbol('('))) => {
                let error = error.clone();
                self.at += 1;
                Some(error)
            }
            _ => None,
        };
        self.note();
        Ok(Call { name, arguments, end, result, error })
    }

    /// `(Operation now in progress)`
    fn note(&mut self) {
        if self.is_symbol('(') {
            while !self.accept(')') && self.peek().is_some() {
                self.at += 1;
            }
        }
    }

    /// Values up to the symbol `close`.
    fn list(&mut self, close: char) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        while !self.accept(close) {
            values.push(self.value()?);
            if !self.accept(',') {
                self.expect(close)?;
                break;
            }
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Value> {
        let first = self.term()?;
        if !self.is_symbol('|') {
            return Ok(first);
        }
        let mut members = vec![first];
        while self.accept('|') {
            members.push(self.term()?);
        }
        Ok(Value::Or(members))
    }

    fn term(&mut self) -> Result<Value> {
        let value = match self.peek().cloned() {
            Some(Kind::Ellipsis) => Value::Any,
            Some(Kind::Integer(number)) => Value::Number(number),
            Some(Kind::Text(text)) => {
                self.at += 1;
                return Ok(Value::Text(self.text(text)));
            }
            Some(Kind::Symbol('[')) => {
                self.at += 1;
                return Ok(Value::List(self.list(']')?));
            }
            Some(Kind::Symbol('{')) => {
                self.at += 1;
                return self.braces();
            }
            Some(Kind::Word(name)) if self.peek_after(1) == Some(&Kind::Symbol('(')) => {
                self.at += 2;
                return Ok(Value::Function(name, self.list(')')?));
            }
            Some(Kind::Word(name)) => Value::Word(name),
            _ => return self.unexpected("a value"),
        };
        self.at += 1;
        Ok(value)
    }

    /// Consecutive strings are concatenated. `"abc"...` stands for its prefix.
    fn text(&mut self, mut text: String) -> String {
        while let Some(Kind::Text(more)) = self.peek() {
            text.push_str(more);
            self.at += 1;
        }
        if self.peek() == Some(&Kind::Ellipsis) {
            self.at += 1;
        }
        text
    }

    /// `{name = value, ...}`, or `{value, ...}`.
    fn braces(&mut self) -> Result<Value> {
        let mut fields = Vec::new();
        let mut members = Vec::new();
        while !self.accept('}') {
            match self.value()? {
                Value::Word(name) | Value::Function(name, _) if self.accept('=') => fields.push((name, self.value()?)),
                value => members.push(value),
            }
            if !self.accept(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(if fields.is_empty() { Value::List(members) } else { Value::Fields(fields) })
    }
}
