//! The one form of a request's path.

use std::fmt;

/// The most bytes of a path.
const LONGEST: usize = 8192;

/// The path of a request in its one form: what a rule is compared with, and what is sent on.
///
/// Percent-encoded letters, digits and `-._~` are themselves, and other encodings have capital digits (RFC 3986, 6.2.2).
/// What servers are known to read in more than one way is no path at all: see [`PathError`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestPath(String);

/// Why a text is no path that means the same to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`, as `*` and an authority do not.
    #[error("a path begins with `/`")]
    NoSlash,
    /// It is too long.
    #[error("a path has 8192 bytes at most")]
    TooLong,
    /// A byte that is no part of a path: of a control character, a space, a backslash, `?`, `#`, or not ASCII.
    #[error("the byte {0:#04x} cannot be in a path")]
    Byte(u8),
    /// A `%` without two hexadecimal digits.
    #[error("a `%` in a path is followed by two hexadecimal digits")]
    Percent,
    /// An encoded byte that servers take for a separator or an end: `/`, `\`, NUL and other control characters.
    #[error("the byte {0:#04x} cannot be in a path, encoded or not")]
    Encoded(u8),
    /// An encoded `%` with two hexadecimal digits behind: who decodes twice reads another path.
    #[error("a path is encoded once")]
    Twice,
    /// Encoded bytes that are no UTF-8, as overlong forms of `.` and `/` are.
    #[error("the encoded bytes of a path are UTF-8")]
    NotUtf8,
    /// A segment `.` or `..`, also with parameters behind a `;`.
    #[error("a path has no `.` and no `..`")]
    Dots,
    /// An empty segment, also one of parameters alone.
    #[error("a path has no empty segment")]
    Empty,
}

impl RequestPath {
    /// The path that `text` means, which is the target of a request without its query.
    ///
    /// # Errors
    ///
    /// When it may mean another to some server.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > LONGEST {
            return Err(PathError::TooLong);
        }
        if !text.starts_with('/') {
            return Err(PathError::NoSlash);
        }
        let path = one_form(text)?;
        if path.len() > LONGEST {
            return Err(PathError::TooLong);
        }
        if path.match_indices("%25").any(|(at, percent)| hex(&path.as_bytes()[at + percent.len()..]).is_some()) {
            return Err(PathError::Twice);
        }
        let mut segments = path[1..].split('/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            // A parameter is cut off by some servers before they look for dots.
            match before_parameters(segment) {
                "." | ".." => return Err(PathError::Dots),
                "" if !is_last => return Err(PathError::Empty),
                _ => {}
            }
        }
        Ok(Self(path))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn before_parameters(segment: &str) -> &str {
    let end = [segment.find(';'), segment.find("%3B")].into_iter().flatten().min();
    &segment[..end.unwrap_or(segment.len())]
}

/// Decodes what needs no encoding, encodes what does, and refuses what is neither.
fn one_form(text: &str) -> Result<String, PathError> {
    let mut path = String::with_capacity(text.len());
    let mut encoded = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match *byte {
            b'%' => {
                let byte = hex(rest).ok_or(PathError::Percent)?;
                rest = &rest[2..];
                encoded.push(byte);
                match byte {
                    b'/' | b'\\' | 0..0x20 | 0x7f => return Err(PathError::Encoded(byte)),
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
                    byte => push_encoded(&mut path, byte),
                }
                continue;
            }
            // What URLs should not have raw, and clients send all the same.
            byte @ (b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                push_encoded(&mut path, byte);
            }
            byte @ (0..=0x20 | b'\\' | b'?' | b'#' | 0x7f..) => return Err(PathError::Byte(byte)),
            byte => path.push(char::from(byte)),
        }
        encoded = whole(encoded)?;
    }
    whole(encoded)?;
    Ok(path)
}

/// Nothing, where `encoded` is UTF-8: a run of encoded bytes ends where another byte begins.
fn whole(mut encoded: Vec<u8>) -> Result<Vec<u8>, PathError> {
    if std::str::from_utf8(&encoded).is_err() {
        return Err(PathError::NotUtf8);
    }
    encoded.clear();
    Ok(encoded)
}

fn hex(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let [high, low, ..] = text else { return None };
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn push_encoded(path: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    path.push('%');
    path.push(char::from(DIGITS[usize::from(byte >> 4)]));
    path.push(char::from(DIGITS[usize::from(byte & 15)]));
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
