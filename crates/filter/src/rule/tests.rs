use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn error(text: &str) -> ParseError {
    Rule::parse(text).expect_err("the text is not a rule")
}

proptest! {
    #[test]
    fn displaying_a_rule_and_parsing_it_gives_the_same_rule(rule in arbitrary::rule()) {
        prop_assert_eq!(Rule::parse(&rule.to_string()), Ok(rule));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[@a-z_(&|,=!<>0-9x \\[\\]\\-é]{0,40}") {
        if let Err(error) = Rule::parse(&text) {
            prop_assert!(text.get(error.span()).is_some());
        }
    }

    #[test]
    fn no_tail_of_a_condition_makes_the_parser_panic(tail in "(flags|arg1|in|&|==|<|-|1|0x|é|O_CREAT|,|\\)|\\[|\\]| ){0,8}") {
        let text = format!("openat({tail}");
        if let Err(error) = Rule::parse(&text) {
            prop_assert!(text.get(error.span()).is_some());
        }
    }
}

#[test]
fn a_rule_is_displayed_in_its_normal_form() {
    for (text, normal) in [
        ("  @file-read ", "@file-read"),
        ("clone(flags&CLONE_NEWUSER|CLONE_NEWNS==0)", "clone(flags & CLONE_NEWUSER | CLONE_NEWNS == 0)"),
        ("ioctl( arg1 in [TCGETS,0x5413 ,7] )", "ioctl(request in [TCGETS, 0x5413, 7])"),
        ("prctl(option==15,arg1<=1000)", "prctl(option == 0xf, second <= 0x3e8)"),
        ("openat(dirfd == -100)", "openat(dirfd == -100)"),
    ] {
        assert_eq!(Rule::parse(text).map(|rule| rule.to_string()).as_deref(), Ok(normal));
    }
}

#[test]
fn a_rule_tells_what_it_names() {
    let group = Rule::parse("@time").expect("the text is a rule");
    let call = Rule::parse("kill(sig == SIGTERM)").expect("the text is a rule");

    assert_eq!(group.group().map(|group| group.name), Some("@time"));
    assert_eq!(group.call(), None);
    assert!(group.calls().any(|call| call == "nanosleep"));
    assert_eq!(call.call(), Some("kill"));
    assert!(call.is_conditional());
}

#[test]
fn unknown_names_are_pointed_at_and_the_nearest_known_one_is_suggested() {
    for (text, span, suggestion) in [
        ("@file-reed", 0..10, Some("@file-read")),
        ("opneat", 0..6, Some("openat")),
        ("openat(flag == 1)", 7..11, Some("flags")),
        ("clone(flags & CLONE_NEWUSR == 0)", 14..26, Some("CLONE_NEWUSER")),
        ("frobnicate_everything", 0..21, None),
    ] {
        let error = error(text);
        assert_eq!((error.span(), error.suggestion()), (span, suggestion), "{text}: {error}");
    }
}

#[test]
fn malformed_texts_are_pointed_at() {
    for (text, span) in [
        ("", 0..0),
        ("read()", 5..6),
        ("read(", 5..5),
        ("read x", 5..6),
        ("@time(", 5..6),
        ("ioctl(request = 1)", 14..15),
        ("ioctl(request in 5)", 17..18),
        ("ioctl(request in [])", 18..19),
        ("ioctl(request & 1 < 1)", 18..19),
        ("ioctl(request == é)", 17..19),
        ("ioctl(request == 0x)", 17..19),
        ("ioctl(request == 1", 18..18),
        ("mmap(length == 99999999999999999999)", 15..35),
    ] {
        assert_eq!(error(text).span(), span, "{text}");
    }
}

#[test]
fn a_positional_name_that_the_manual_page_gives_to_another_argument_is_an_error() {
    for text in ["prctl(arg2 == 1)", "keyctl(arg5 == 1)"] {
        assert!(matches!(error(text).kind(), ParseErrorKind::AmbiguousArgument { .. }), "{text}");
    }
}

#[test]
fn a_value_that_the_argument_cannot_have_is_an_error() {
    assert_eq!(error("ioctl(request == 0x1_0000_0000)").kind(), &ParseErrorKind::TooWide);
    assert_eq!(error("openat(flags & O_CREAT == O_TRUNC)").kind(), &ParseErrorKind::OutsideMask);
    assert_eq!(error("openat(dirfd < -1)").kind(), &ParseErrorKind::NegativeOrder);
}
