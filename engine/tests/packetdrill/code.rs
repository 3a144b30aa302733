//! `%{ assert ... }%`: the subset of Python that assertions about a connection need.

/// Why a snippet failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// An assertion that does not hold, with the values of its names.
    Assertion(String),
    /// Python that this interpreter does not support.
    Unsupported(String),
}

/// Runs the assertions in `code`. `look_up` returns the values of names.
pub(crate) fn run(code: &str, look_up: &dyn Fn(&str) -> Option<f64>) -> Result<(), Failure> {
    for statement in code.lines().flat_map(|line| line.split(';')).map(str::trim) {
        let statement = statement.split('#').next().unwrap_or_default().trim();
        if statement.is_empty() {
            continue;
        }
        let Some(expression) = statement.strip_prefix("assert") else {
            return Err(Failure::Unsupported(format!("the Python statement `{statement}`")));
        };
        let mut evaluation = Evaluation { tokens: tokens(expression)?, at: 0, look_up, seen: Vec::new() };
        let value = evaluation.disjunction()?;
        // A second expression is the message of the assertion.
        if evaluation.at < evaluation.tokens.len() && evaluation.tokens[evaluation.at] != "," {
            return Err(Failure::Unsupported(format!("the Python expression `{}`", expression.trim())));
        }
        if value == 0.0 {
            return Err(Failure::Assertion(format!("{statement} does not hold: {}", evaluation.seen.join(", "))));
        }
    }
    Ok(())
}

const OPERATORS: [&str; 21] =
    ["==", "!=", "<=", ">=", "<<", ">>", "//", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "(", ")", ",", "~"];

fn tokens(text: &str) -> Result<Vec<String>, Failure> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|character: char| !character.is_alphanumeric() && !matches!(character, '_' | '.'))
                .unwrap_or(rest.len())
        } else if matches!(first, '"' | '\'') {
            rest[1..].find(first).map_or(rest.len(), |end| end + 2)
        } else {
            OPERATORS
                .iter()
                .find(|operator| rest.starts_with(**operator))
                .map(|operator| operator.len())
                .ok_or_else(|| Failure::Unsupported(format!("`{first}` in Python")))?
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Evaluation<'a> {
    tokens: Vec<String>,
    at: usize,
    look_up: &'a dyn Fn(&str) -> Option<f64>,
    /// The names that were looked up, with their values.
    seen: Vec<String>,
}

impl Evaluation<'_> {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn accept(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    fn disjunction(&mut self) -> Result<f64, Failure> {
        let mut value = self.conjunction()?;
        while self.accept("or") {
            let right = self.conjunction()?;
            value = truth(value != 0.0 || right != 0.0);
        }
        Ok(value)
    }

    fn conjunction(&mut self) -> Result<f64, Failure> {
        let mut value = self.negation()?;
        while self.accept("and") {
            let right = self.negation()?;
            value = truth(value != 0.0 && right != 0.0);
        }
        Ok(value)
    }

    fn negation(&mut self) -> Result<f64, Failure> {
        if self.accept("not") { Ok(truth(self.negation()? == 0.0)) } else { self.comparison() }
    }

    fn comparison(&mut self) -> Result<f64, Failure> {
        let mut left = self.binary(0)?;
        let mut result = None;
        while let operator @ ("==" | "!=" | "<=" | ">=" | "<" | ">") = self.peek() {
            let operator = operator.to_owned();
            self.at += 1;
            let right = self.binary(0)?;
            let holds = match operator.as_str() {
                "==" => (left - right).abs() < f64::EPSILON,
                "!=" => (left - right).abs() >= f64::EPSILON,
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                _ => left > right,
            };
            result = Some(result.unwrap_or(true) && holds);
            left = right;
        }
        Ok(result.map_or(left, truth))
    }

    /// Arithmetic, by the precedence of operators, from the weakest to the strongest.
    fn binary(&mut self, level: usize) -> Result<f64, Failure> {
        const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "/", "//", "%"]];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| **operator == self.peek()) {
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = apply(operator, left, right);
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<f64, Failure> {
        if self.accept("-") { Ok(-self.unary()?) } else { self.primary() }
    }

    fn primary(&mut self) -> Result<f64, Failure> {
        if self.accept("(") {
            let value = self.disjunction()?;
            return if self.accept(")") { Ok(value) } else { Err(self.not_understood()) };
        }
        let token = self.peek().to_owned();
        self.at += 1;
        if let Some(hexadecimal) = token.strip_prefix("0x") {
            return i64::from_str_radix(hexadecimal, 16).map(|value| value as f64).map_err(|_| self.not_understood());
        }
        if token.starts_with(|character: char| character.is_ascii_digit()) {
            return token.parse().map_err(|_| self.not_understood());
        }
        match token.as_str() {
            "True" => return Ok(1.0),
            "False" => return Ok(0.0),
            "abs" if self.accept("(") => {
                let value = self.disjunction()?;
                return if self.accept(")") { Ok(value.abs()) } else { Err(self.not_understood()) };
            }
            _ => {}
        }
        let value = (self.look_up)(&token).ok_or_else(|| Failure::Unsupported(format!("`{token}` in Python")))?;
        self.seen.push(format!("{token} is {value}"));
        Ok(value)
    }

    fn not_understood(&self) -> Failure {
        Failure::Unsupported(format!("the Python expression `{}`", self.tokens.join(" ")))
    }
}

const fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

fn apply(operator: &str, left: f64, right: f64) -> f64 {
    let bits = |function: fn(i64, i64) -> i64| function(left as i64, right as i64) as f64;
    match operator {
        "|" => bits(|left, right| left | right),
        "^" => bits(|left, right| left ^ right),
        "&" => bits(|left, right| left & right),
        "<<" => bits(|left, right| left << right),
        ">>" => bits(|left, right| left >> right),
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        "//" => (left / right).floor(),
        _ => left.rem_euclid(right),
    }
}
