use super::*;
use proptest::prelude::*;

fn rule(text: &str) -> Rule {
    text.parse().unwrap_or_else(|e| panic!("`{text}`: {e}"))
}

fn name(text: &str) -> Name {
    match Host::parse(text) {
        Ok(Host::Name(name)) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_have_one_form() {
    let cases = [
        ("Images.Example.com.:443", "images.example.com:443"),
        ("*.example.com:8000-8010", "*.example.com:8000-8010"),
        ("*.BÜCHER.example:443", "*.xn--bcher-kva.example:443"),
        ("10.1.0.0/16:5432", "10.1.0.0/16:5432"),
        ("0x7f.1:80", "127.0.0.1:80"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
        ("[::ffff:10.0.0.0]/104:80", "10.0.0.0/8:80"),
        ("[2001:db8::]/32:80-80", "2001:db8::/32:80"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
    ];
    for (text, expected) in cases {
        assert_eq!(rule(text).to_string(), expected, "{text}");
    }
}

#[test]
fn a_rule_is_for_its_names_its_addresses_and_its_ports() {
    let below = rule("*.example.com:443");
    let range = rule("10.1.0.0/16:5432-5433");

    assert!(below.permits_name(&name("a.b.example.com"), 443));
    assert!(!below.permits_name(&name("example.com"), 443));
    assert!(!below.permits_name(&name("a.example.com"), 80));
    let inside: IpAddr = "10.1.2.3".parse().expect("an address");
    let mapped: IpAddr = "::ffff:10.1.2.3".parse().expect("an address");
    let outside: IpAddr = "10.2.0.0".parse().expect("an address");
    assert_eq!(
        [(inside, 5432), (mapped, 5433), (inside, 5434), (outside, 5432)]
            .map(|(ip, port)| range.permits_address(ip, port)),
        [true, true, false, false]
    );
}

#[test]
fn what_is_no_rule_says_what_and_where_and_how_it_is_written() {
    let cases = [
        ("example.com", "a rule names a port", 0..11, Some("write `example.com:443`")),
        ("example.com:", "a rule names a port", 0..12, Some("write `example.com:443`")),
        ("::1", "a rule names a port", 0..3, Some("write `[::1]:443`")),
        ("example.com:0", "a port is a number from 1 to 65535, or two of them as in `8000-8010`", 12..13, None),
        ("example.com:https", "a port is a number from 1 to 65535, or two of them as in `8000-8010`", 12..17, None),
        ("example.com:+80", "a port is a number from 1 to 65535, or two of them as in `8000-8010`", 12..15, None),
        ("example.com:90-80", "a port is a number from 1 to 65535, or two of them as in `8000-8010`", 12..17, None),
        ("a.*.com:80", "`*` stands for the whole beginning of a name: `*.example.com`", 0..7, None),
        ("*:80", "`*` stands for the whole beginning of a name: `*.example.com`", 0..1, None),
        ("*.1.2.3.4:80", "`*` stands for the whole beginning of a name: `*.example.com`", 0..9, None),
        ("10.1.2.3/16:80", "the range begins at 10.1.0.0", 0..11, Some("write `10.1.0.0/16:80`")),
        ("10.0.0.0/33:80", "a range of addresses is written as in `10.1.0.0/16`", 0..11, None),
        ("a b:80", "` ` cannot be in a host", 0..3, None),
        (":80", "there is no host", 0..0, None),
        (
            "https://example.com/x",
            "a rule for every request names host and port, without a scheme or path",
            0..21,
            Some("write `example.com:443`"),
        ),
    ];
    for (text, problem, span, hint) in cases {
        let error = text.parse::<Rule>().expect_err(text);

        assert_eq!((error.to_string().as_str(), error.span, error.hint.as_deref()), (problem, span, hint), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_otherwise_and_what_it_takes_it_takes_again(text in "\\PC{0,40}") {
        if let Ok(rule) = text.parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }
    }

    #[test]
    fn texts_of_the_characters_of_rules_do_not_either(text in "[0-9a-f.:/*\\[\\]x-]{0,24}") {
        if let Ok(rule) = text.parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }
    }
}
