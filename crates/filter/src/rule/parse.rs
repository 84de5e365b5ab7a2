//! The parser of rules.

use std::ops::Range;

use super::condition::{Comparison, Condition, Term, Test, Value};
use super::error::{ParseError, ParseErrorKind};
use super::{Member, Rule, Target};
use crate::argument::{self, Width};
use crate::table::{self, CallId};
use crate::{constant, groups};

type Result<T> = std::result::Result<T, ParseError>;

/// Parses a whole text as one rule.
pub(super) fn rule(text: &str) -> Result<Rule> {
    let mut parser = Parser { text, at: 0 };
    parser.skip_blanks();
    let target = if parser.peek() == Some(b'@') { parser.group()? } else { Target::Call(parser.call()?) };
    parser.skip_blanks();
    if parser.at < text.len() {
        return Err(parser.expected(if matches!(target, Target::Group(..)) {
            "the end of the rule"
        } else {
            "`(` or the end of the rule"
        }));
    }
    Ok(Rule(target))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        start..self.at
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|byte| byte.is_ascii_whitespace());
    }

    /// A name or number, possibly empty. Only ASCII, so that the span lies on character boundaries.
    fn word(&mut self) -> (&'a str, Range<usize>) {
        self.skip_blanks();
        let span = self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (&self.text[span.clone()], span)
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        let width = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        ParseError::new(ParseErrorKind::Expected { expected }, self.at..self.at + width)
    }

    /// Takes `symbol` if it stands here.
    fn take(&mut self, symbol: &str) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn group(&mut self) -> Result<Target> {
        let start = self.at;
        self.at += 1;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let name = &self.text[start..self.at];
        let unknown = || {
            let suggestion = nearest(name, groups::all().map(|group| group.name));
            ParseError::new(ParseErrorKind::UnknownGroup { name: name.to_owned(), suggestion }, start..self.at)
        };
        groups::position(name).map(|(position, group)| Target::Group(group, position)).ok_or_else(unknown)
    }

    fn call(&mut self) -> Result<Member> {
        let (name, span) = self.word();
        if name.is_empty() {
            return Err(self.expected("a system call or `@` and a group"));
        }
        let unknown = || {
            let suggestion = nearest(name, table::names());
            ParseError::new(ParseErrorKind::UnknownCall { name: name.to_owned(), suggestion }, span)
        };
        let call = CallId::named(name).ok_or_else(unknown)?;
        let mut conditions = Vec::new();
        if self.take("(") {
            loop {
                conditions.push(self.condition(call)?);
                if self.take(")") {
                    break;
                }
                if !self.take(",") {
                    return Err(self.expected("`,` or `)`"));
                }
            }
        }
        Ok(Member { call, conditions })
    }

    fn condition(&mut self, call: CallId) -> Result<Condition> {
        let (name, span) = self.word();
        if name.is_empty() {
            return Err(self.expected("an argument"));
        }
        if argument::is_ambiguous(call, name) {
            return Err(ParseError::new(
                ParseErrorKind::AmbiguousArgument { call: call.name(), name: name.to_owned() },
                span,
            ));
        }
        let unknown = || {
            let suggestion = nearest(name, argument::names(call));
            ParseError::new(
                ParseErrorKind::UnknownArgument { call: call.name(), name: name.to_owned(), suggestion },
                span,
            )
        };
        let argument = argument::find(call, name).ok_or_else(unknown)?;
        let test = self.test(argument.width)?;
        Ok(Condition { argument, test })
    }

    fn test(&mut self, width: Width) -> Result<Test> {
        if self.take("&") {
            let (mask, _) = self.value(width)?;
            let equal = self.take("==");
            if !equal && !self.take("!=") {
                return Err(self.expected("`|`, `==` or `!=`"));
            }
            let (value, span) = self.value(width)?;
            return if mask.covers(&value, width) {
                Ok(Test::Masked { mask, equal, value })
            } else {
                Err(ParseError::new(ParseErrorKind::OutsideMask, span))
            };
        }
        if let Some(comparison) = self.comparison() {
            let (value, span) = self.value(width)?;
            let is_negative = value.is_negative() || width == Width::Int && !value.fits_unsigned_int();
            return if comparison.is_ordering() && is_negative {
                Err(ParseError::new(ParseErrorKind::NegativeOrder, span))
            } else {
                Ok(Test::Compare(comparison, value))
            };
        }
        let before = self.at;
        if self.word().0 == "in" {
            return self.list(width);
        }
        self.at = before;
        Err(self.expected("a comparison, `&` or `in`"))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find_map(|(symbol, comparison)| self.take(symbol).then_some(comparison))
    }

    fn list(&mut self, width: Width) -> Result<Test> {
        if !self.take("[") {
            return Err(self.expected("`[`"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value(width)?.0);
            if self.take("]") {
                return Ok(Test::In(values));
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn value(&mut self, width: Width) -> Result<(Value, Range<usize>)> {
        self.skip_blanks();
        let start = self.at;
        let mut terms = vec![self.term()?];
        while self.take("|") {
            terms.push(self.term()?);
        }
        let span = start..self.at;
        let value = Value::new(terms);
        if width == Width::Int && !value.fits_int() {
            return Err(ParseError::new(ParseErrorKind::TooWide, span));
        }
        Ok((value, span))
    }

    fn term(&mut self) -> Result<Term> {
        let negative = self.take("-");
        let (word, span) = self.word();
        let bad = || ParseError::new(ParseErrorKind::BadNumber { number: word.to_owned() }, span.clone());
        if word.is_empty() {
            return Err(self.expected("a number or a constant"));
        }
        if negative {
            let magnitude: u64 =
                word.parse().ok().filter(|magnitude| (1..=1 << 63).contains(magnitude)).ok_or_else(bad)?;
            return Ok(Term::Negative(magnitude));
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let digits = word.replace('_', "");
            let number = match digits.strip_prefix("0x") {
                Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
                None => digits.parse(),
            };
            return number.ok().map(Term::Number).ok_or_else(bad);
        }
        let row = constant::find(word).ok_or_else(|| {
            let suggestion = nearest(word, constant::names());
            ParseError::new(ParseErrorKind::UnknownConstant { name: word.to_owned(), suggestion }, span)
        })?;
        Ok(Term::Constant(row.name, row.values))
    }
}

/// The candidate with the fewest typing errors from `name`, if they are few for its length.
fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .map(|(_, candidate)| candidate)
}
