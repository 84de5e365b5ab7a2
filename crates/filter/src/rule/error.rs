//! Why a text is not a rule.

use std::ops::Range;

/// A text is not a rule. Points into that text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    kind: ParseErrorKind,
    span: Range<usize>,
}

impl ParseError {
    pub(crate) fn new(kind: ParseErrorKind, span: Range<usize>) -> Self {
        Self { kind, span }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &ParseErrorKind {
        &self.kind
    }

    /// Where, as byte offsets into the text; empty at the end of a text that stops too early.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The known name nearest to an unknown one, if one is near.
    #[must_use]
    pub fn suggestion(&self) -> Option<&'static str> {
        match &self.kind {
            ParseErrorKind::UnknownGroup { suggestion, .. }
            | ParseErrorKind::UnknownCall { suggestion, .. }
            | ParseErrorKind::UnknownArgument { suggestion, .. }
            | ParseErrorKind::UnknownConstant { suggestion, .. } => *suggestion,
            _ => None,
        }
    }
}

/// What is wrong with the text of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The grammar wants something else here.
    #[error("expected {expected}")]
    Expected {
        /// What could stand here.
        expected: &'static str,
    },
    /// There is no such group.
    #[error("unknown group `{name}`")]
    UnknownGroup {
        /// The group as written, with its `@`.
        name: String,
        /// The nearest known group.
        suggestion: Option<&'static str>,
    },
    /// No architecture has such a call.
    #[error("unknown system call `{name}`")]
    UnknownCall {
        /// The call as written.
        name: String,
        /// The nearest known call.
        suggestion: Option<&'static str>,
    },
    /// The call has no such argument.
    #[error("`{call}` has no argument `{name}`")]
    UnknownArgument {
        /// The call.
        call: &'static str,
        /// The argument as written.
        name: String,
        /// The nearest known argument of this call.
        suggestion: Option<&'static str>,
    },
    /// The manual page of the call counts its arguments from one, this language from zero.
    #[error(
        "`{name}` is ambiguous: {call}(2) counts its arguments from one; say `second`, `third`, `fourth` or `fifth`"
    )]
    AmbiguousArgument {
        /// The call.
        call: &'static str,
        /// The argument as written.
        name: String,
    },
    /// There is no such constant.
    #[error("unknown constant `{name}`")]
    UnknownConstant {
        /// The constant as written.
        name: String,
        /// The nearest known constant.
        suggestion: Option<&'static str>,
    },
    /// A number is malformed or needs more than 64 bits.
    #[error("`{number}` is not a number of 64 bits")]
    BadNumber {
        /// The number as written.
        number: String,
    },
    /// The kernel reads 32 bits of this argument, and the value needs more.
    #[error("the kernel reads 32 bits of this argument, and this value needs more")]
    TooWide,
    /// The value has bits that the mask clears, so that `==` could never hold and `!=` always would.
    #[error("this value has bits outside its mask")]
    OutsideMask,
    /// Comparisons are unsigned, so that an order against a negative value would surprise.
    #[error("only `==`, `!=` and `in` can compare with a negative value")]
    NegativeOrder,
}
