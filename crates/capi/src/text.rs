//! The caller's place for an error text.

use std::ffi::c_char;

/// Room of the caller's for one text.
#[derive(Debug)]
pub(crate) struct ErrorText {
    to: *mut u8,
    size: usize,
}

impl ErrorText {
    /// # Safety
    ///
    /// Until this is dropped `to` is null, or has room for `size` bytes that nothing else uses.
    pub(crate) unsafe fn new(to: *mut c_char, size: usize) -> Self {
        let size = if to.is_null() { 0 } else { size };
        Self { to: to.cast(), size }
    }

    /// Puts `text` there, terminated, and cut at a whole character if there is no room for all of it.
    pub(crate) fn put(&mut self, text: &str) {
        let Some(room) = self.size.checked_sub(1) else { return };
        // C's reader stops at the first one.
        let text = text.split('\0').next().unwrap_or_default();
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let text = &text[..end];
        // SAFETY: `new` promises `size` bytes, of which these are at most `size - 1`; a text of ours is not there.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), self.to, text.len()) };
        // SAFETY: `text.len()` is at most `size - 1`.
        let end = unsafe { self.to.add(text.len()) };
        // SAFETY: within the `size` bytes that `new` promises.
        unsafe { end.write(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str, size: usize) -> Vec<u8> {
        let mut bytes = [0xee_u8; 16];
        // SAFETY: no test asks for more than the array has.
        let mut place = unsafe { ErrorText::new(bytes.as_mut_ptr().cast(), size) };
        place.put(text);
        bytes[..=size.min(15)].to_vec()
    }

    #[test]
    fn a_text_is_terminated_and_nothing_behind_its_room_is_touched() {
        assert_eq!(put("abc", 8)[..4], *b"abc\0");
        assert_eq!(put("abcdef", 4), *b"abc\0\xee");
        assert_eq!(put("abc", 1), *b"\0\xee");
        assert_eq!(put("abc", 0), *b"\xee");
    }

    #[test]
    fn a_text_that_is_cut_ends_with_a_whole_character() {
        assert_eq!(put("aäö", 4)[..4], *"aä\0".as_bytes());
        assert_eq!(put("aäö", 3)[..2], *b"a\0");
    }

    #[test]
    fn without_a_place_nothing_is_written() {
        // SAFETY: null is one of the two that are allowed.
        let mut place = unsafe { ErrorText::new(std::ptr::null_mut(), 100) };

        place.put("abc");

        assert_eq!(place.size, 0);
    }
}
