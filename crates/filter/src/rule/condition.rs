//! Conditions on arguments: what they compare, how many bits of it, and when they hold.

use std::fmt;

use crate::arch::Arch;
use crate::argument::{self, Argument, Width};
use crate::table::CallId;

/// Which way a rule's action leans, which decides between readings of an argument of [`Width::Either`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Leaning {
    /// The action lets the call happen: the condition must hold in both readings.
    Permit,
    /// The action stops the call: it is enough that the condition holds in one reading.
    Refuse,
}

/// How an argument is compared with one value, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(crate) fn is_ordering(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A part of a value as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    Constant(&'static str, [i64; 2]),
    Number(u64),
    /// A negative number, by its magnitude.
    Negative(u64),
}

/// A value of a condition: terms joined by `|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    terms: Vec<Term>,
    /// Per architecture, since some constants differ; negative numbers are sign-extended.
    bits: [u64; 2],
}

impl Value {
    pub(crate) fn new(terms: Vec<Term>) -> Self {
        let bits = [0, 1].map(|column| terms.iter().fold(0, |bits, term| bits | term.bits(column)));
        Self { terms, bits }
    }

    pub(crate) fn number(value: u64) -> Self {
        Self::new(vec![Term::Number(value)])
    }

    pub(crate) fn bits(&self, arch: Arch) -> u64 {
        self.bits[arch.column()]
    }

    /// Whether a 32-bit register half can hold it, as an unsigned or as a negative number.
    pub(crate) fn fits_int(&self) -> bool {
        self.bits.iter().all(|bits| {
            u32::try_from(*bits).is_ok() || bits.cast_signed() < 0 && i32::try_from(bits.cast_signed()).is_ok()
        })
    }

    /// Whether a 32-bit register half can hold it as an unsigned number.
    pub(crate) fn fits_unsigned_int(&self) -> bool {
        self.bits.iter().all(|bits| u32::try_from(*bits).is_ok())
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.bits.iter().any(|bits| bits.cast_signed() < 0)
            && self.terms.iter().any(|term| !matches!(term, Term::Number(_)))
    }

    /// Whether `value & self` can equal `value`, looking at `width` bits.
    pub(crate) fn covers(&self, value: &Self, width: Width) -> bool {
        let seen = if width == Width::Int { u64::from(u32::MAX) } else { u64::MAX };
        self.bits.iter().zip(&value.bits).all(|(mask, value)| value & seen & !mask == 0)
    }
}

impl Term {
    fn bits(self, column: usize) -> u64 {
        match self {
            Self::Constant(_, values) => values[column].cast_unsigned(),
            Self::Number(value) => value,
            Self::Negative(magnitude) => magnitude.wrapping_neg(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, term) in self.terms.iter().enumerate() {
            if position > 0 {
                f.write_str(" | ")?;
            }
            match term {
                Term::Constant(name, _) => f.write_str(name)?,
                Term::Number(value @ 0..10) => write!(f, "{value}")?,
                Term::Number(value) => write!(f, "{value:#x}")?,
                Term::Negative(magnitude) => write!(f, "-{magnitude}")?,
            }
        }
        Ok(())
    }
}

/// What a condition asks of its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    Compare(Comparison, Value),
    /// `argument & mask == value`, or `!=` when not `equal`.
    Masked {
        mask: Value,
        equal: bool,
        value: Value,
    },
    In(Vec<Value>),
}

impl Test {
    fn values(&self) -> impl Iterator<Item = &Value> {
        let (first, rest) = match self {
            Self::Compare(_, value) => (Some(value), &[][..]),
            Self::Masked { mask, value, .. } => (Some(mask), std::slice::from_ref(value)),
            Self::In(values) => (None, &values[..]),
        };
        first.into_iter().chain(rest)
    }

    /// Whether a value can only be meant for a 64-bit argument.
    fn needs_long(&self) -> bool {
        match self {
            Self::Compare(comparison, value) if comparison.is_ordering() => !value.fits_unsigned_int(),
            _ => !self.values().all(Value::fits_int),
        }
    }

    /// Whether it holds for fewer values the more bits it sees: `==` does, `!=` and `>` hold for more.
    fn narrows_with_width(&self) -> bool {
        match self {
            Self::Compare(comparison, _) => {
                matches!(comparison, Comparison::Equal | Comparison::Less | Comparison::LessOrEqual)
            }
            Self::Masked { equal, .. } => *equal,
            Self::In(_) => true,
        }
    }
}

/// A test of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) argument: Argument,
    pub(crate) test: Test,
}

/// A condition for one architecture and leaning: how many bits it sees is settled.
///
/// For 32 bits, all numbers are truncated to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved<'a> {
    pub(crate) index: u8,
    pub(crate) is_long: bool,
    test: &'a Test,
    arch: Arch,
}

impl Condition {
    /// Settles how many bits are compared.
    ///
    /// An argument of [`Width::Either`] may be read as 32 or 64 bits by the kernel. A value that needs 64 bits says
    /// that it is the latter. Otherwise one of the two readings implies the other, since the value fits both; which
    /// one depends on whether the test narrows with the width. A permitting rule takes the stronger, a refusing rule
    /// the weaker.
    pub(crate) fn resolve(&self, arch: Arch, leaning: Leaning) -> Resolved<'_> {
        let is_long = match self.argument.width {
            Width::Int => false,
            Width::Long => true,
            Width::Either if self.test.needs_long() => true,
            Width::Either => self.test.narrows_with_width() == (leaning == Leaning::Permit),
        };
        Resolved { index: self.argument.index, is_long, test: &self.test, arch }
    }

    /// Writes the condition with the argument names of `call`.
    pub(crate) fn write(&self, call: CallId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.argument.index;
        match argument::name(call, index) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "arg{index}")?,
        }
        match &self.test {
            Test::Compare(comparison, value) => write!(f, " {} {value}", comparison.symbol()),
            Test::Masked { mask, equal, value } => {
                write!(f, " & {mask} {} {value}", if *equal { "==" } else { "!=" })
            }
            Test::In(values) => {
                f.write_str(" in [")?;
                for (position, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A [`Test`] in plain numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plain {
    Compare(Comparison, u64),
    Masked { mask: u64, equal: bool, value: u64 },
    In(Vec<u64>),
}

impl Resolved<'_> {
    fn seen(&self, bits: u64) -> u64 {
        if self.is_long { bits } else { bits & u64::from(u32::MAX) }
    }

    fn number(&self, value: &Value) -> u64 {
        self.seen(value.bits(self.arch))
    }

    /// The test with its values as numbers, truncated to the bits seen.
    pub(crate) fn plain(&self) -> Plain {
        match self.test {
            Test::Compare(comparison, value) => Plain::Compare(*comparison, self.number(value)),
            Test::Masked { mask, equal, value } => {
                Plain::Masked { mask: self.number(mask), equal: *equal, value: self.number(value) }
            }
            Test::In(values) => Plain::In(values.iter().map(|value| self.number(value)).collect()),
        }
    }

    /// Whether it holds for these argument registers.
    pub(crate) fn holds(&self, args: &[u64; 6]) -> bool {
        let seen = self.seen(args[usize::from(self.index)]);
        match self.test {
            Test::Compare(comparison, value) => {
                let value = self.number(value);
                match comparison {
                    Comparison::Equal => seen == value,
                    Comparison::NotEqual => seen != value,
                    Comparison::Less => seen < value,
                    Comparison::LessOrEqual => seen <= value,
                    Comparison::Greater => seen > value,
                    Comparison::GreaterOrEqual => seen >= value,
                }
            }
            Test::Masked { mask, equal, value } => (seen & self.number(mask) == self.number(value)) == *equal,
            Test::In(values) => values.iter().any(|value| seen == self.number(value)),
        }
    }
}
