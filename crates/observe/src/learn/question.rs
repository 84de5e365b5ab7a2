//! The name that a DNS message asks for.

/// The most labels of a name: 255 bytes of at least two each.
const LABELS: usize = 128;

/// The name in the first question of `message`, in lower case. `None` when it is no question.
///
/// Source: RFC 1035, section 4.1.
pub(super) fn name(message: &[u8]) -> Option<String> {
    const HEADER: usize = 12;
    let flags = u16::from_be_bytes(message.get(2..4)?.try_into().ok()?);
    let questions = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    // An answer, or another kind of operation.
    if flags & 0xf800 != 0 || questions == 0 {
        return None;
    }
    let mut rest = message.get(HEADER..)?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        let length = usize::from(*length);
        // 64 and more are pointers, which a first question has no use for.
        if length == 0 || length > 63 || labels.len() > LABELS {
            break;
        }
        let label = after.get(..length)?;
        if !label.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = &after[length..];
    }
    (!labels.is_empty()).then(|| labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_it_asks_for() {
        let message =
            [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x03Www\x07example\x03org\0\0\x01\0\x01"].concat();

        assert_eq!(name(&message).as_deref(), Some("www.example.org"));
    }

    #[test]
    fn answers_and_what_is_cut_short_name_nothing() {
        let answer = [&[0x12, 0x34, 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\0\0\x01\0\x01"].concat();

        assert_eq!(name(&answer), None);
        assert_eq!(name(&answer[..5]), None);
        assert_eq!(name(&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9, b'a']), None);
    }
}
