//! Types of files.

use std::fmt;
use std::str::FromStr;

/// Of which types a file may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Types {
    /// Of every one, also of none.
    Any,
    /// Of these alone.
    These(Vec<MediaType>),
}

/// A type, such as `application/pdf`; as one that a file may be also all of a kind, such as `image/*`.
///
/// Source: RFC 9110, 8.3.1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType {
    kind: String,
    /// `*` stands for all.
    own: String,
}

/// A text that is no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type: `application/pdf` is one, and `image/*` all of a kind")]
pub struct MediaTypeError(pub String);

impl Types {
    /// Whether a file may be of this type.
    pub(crate) fn contain(&self, media_type: Option<&MediaType>) -> bool {
        match self {
            Self::Any => true,
            Self::These(types) => media_type.is_some_and(|media_type| types.iter().any(|own| own.covers(media_type))),
        }
    }
}

impl MediaType {
    /// The type that a header says, without its parameters. All of a kind is no type of a file.
    pub(crate) fn of_header(text: &str) -> Option<Self> {
        let text = text.split(';').next().unwrap_or_default().trim();
        text.parse().ok().filter(|media_type: &Self| media_type.own != "*")
    }

    fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind && (self.own == "*" || self.own == other.own)
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let is_token = |text: &str| {
            let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            (1..=127).contains(&text.len()) && text.bytes().all(is_of_one)
        };
        match text.split_once('/') {
            Some((kind, own)) if is_token(kind) && (own == "*" || is_token(own)) => {
                Ok(Self { kind: kind.to_ascii_lowercase(), own: own.to_ascii_lowercase() })
            }
            _ => Err(MediaTypeError(text.to_owned())),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.own)
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*/*"),
            Self::These(types) => {
                let types: Vec<String> = types.iter().map(MediaType::to_string).collect();
                f.write_str(&types.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_a_type_or_of_a_kind() {
        let types = Types::These(vec!["image/*".parse().unwrap(), "Application/PDF".parse().unwrap()]);
        let cases = [
            ("image/png", true),
            ("IMAGE/SVG+xml ; charset=utf-8", true),
            ("application/pdf", true),
            ("application/pdfx", false),
            ("application/json", false),
            ("text/html; x=image/png", false),
            ("text/html, image/png", false),
            ("image/*", false),
            ("image/", false),
            ("image", false),
            ("", false),
        ];
        for (said, expected) in cases {
            assert_eq!(types.contain(MediaType::of_header(said).as_ref()), expected, "{said}");
        }
        assert!(!types.contain(None) && Types::Any.contain(None));
        assert_eq!(types.to_string(), "image/*, application/pdf");
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in ["*/*", "*", "image", "image/", "/png", "image/png;q=1", "image /png", "image/p*", "a/b/c", ""] {
            assert_eq!(text.parse::<MediaType>(), Err(MediaTypeError(text.to_owned())));
        }
    }
}
