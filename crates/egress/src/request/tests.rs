use super::*;
use proptest::prelude::*;

fn rule(text: &str) -> RequestRule {
    text.parse().unwrap_or_else(|e| panic!("`{text}`: {e}"))
}

fn host(text: &str) -> Host {
    Host::parse(text).expect("a host")
}

fn permits(rule: &RequestRule, method: &str, path: &str) -> bool {
    RequestPath::parse(path).is_ok_and(|path| rule.permits(method, &path))
}

#[test]
fn rules_on_requests_have_one_form() {
    let cases = [
        ("GET https://API.Example.com./v1/*", "GET https://api.example.com/v1/*"),
        ("GET,HEAD,GET https://*.example.com:443/*", "GET,HEAD https://*.example.com/*"),
        ("* HTTP://example.com:8080/status", "* http://example.com:8080/status"),
        ("* http://example.com:80/", "* http://example.com/"),
        ("PUT http://0x7f.1:8080/%61/%c3%a9", "PUT http://127.0.0.1:8080/a/%C3%A9"),
        ("GET https://[2001:db8::1]/x", "GET https://[2001:db8::1]/x"),
        ("GET https://[2001:db8::1]:8443/*/x*", "GET https://[2001:db8::1]:8443/*/x*"),
        ("GET https://*.BÜCHER.example/*", "GET https://*.xn--bcher-kva.example/*"),
        ("VERSION-CONTROL https://example.com/*", "VERSION-CONTROL https://example.com/*"),
    ];
    for (text, expected) in cases {
        assert_eq!(rule(text).to_string(), expected, "{text}");
    }
}

#[test]
fn a_rule_is_for_its_scheme_its_hosts_and_its_port() {
    let below = rule("GET https://*.example.com/*");
    let address = rule("GET http://10.0.0.5:8080/*");

    assert!(below.is_for(Scheme::Https, &host("a.b.example.com"), 443));
    assert!(!below.is_for(Scheme::Https, &host("example.com"), 443));
    assert!(!below.is_for(Scheme::Https, &host("a.example.com"), 8443));
    assert!(!below.is_for(Scheme::Http, &host("a.example.com"), 443));
    assert!(!below.is_for(Scheme::Https, &host("notexample.com"), 443));
    assert!(address.is_for(Scheme::Http, &host("::ffff:10.0.0.5"), 8080));
    assert!(!address.is_for(Scheme::Http, &host("10.0.0.6"), 8080));
    assert_eq!(address.reach().to_string(), "10.0.0.5:8080");
}

#[test]
fn a_rule_permits_its_methods_and_its_paths() {
    let cases = [
        ("GET https://h/v1/*", "GET", "/v1/", true),
        ("GET https://h/v1/*", "GET", "/v1/a/b/c", true),
        ("GET https://h/v1/*", "GET", "/v1", false),
        ("GET https://h/v1/*", "GET", "/v1x/a", false),
        ("GET https://h/v1/*", "GET", "/v2/a", false),
        ("GET https://h/v1/*", "GET", "/V1/a", false),
        ("GET https://h/v1/*", "HEAD", "/v1/a", false),
        ("GET https://h/v1/*", "get", "/v1/a", false),
        ("GET https://h/v1/*", "GET", "/%76%31/a", true),
        ("GET https://h/v1/*", "GET", "/v1/%2e%2e/v2/a", false),
        ("GET https://h/v1/*", "GET", "/v1/..;/v2", false),
        ("GET https://h/v1/*", "GET", "/v1/%252e%252e/v2", false),
        ("GET https://h/v1/*", "GET", "/v1%2fa", false),
        ("GET https://h/*", "GET", "/", true),
        ("GET https://h/", "GET", "/", true),
        ("GET https://h/", "GET", "/x", false),
        ("GET https://h/status", "GET", "/status", true),
        ("GET https://h/status", "GET", "/status/", false),
        ("GET https://h/status", "GET", "/status;x", false),
        ("GET https://h/%73tatus", "GET", "/status", true),
        ("GET https://h/users/*/avatar", "GET", "/users/7/avatar", true),
        ("GET https://h/users/*/avatar", "GET", "/users//avatar", false),
        ("GET https://h/users/*/avatar", "GET", "/users/7/8/avatar", false),
        ("GET https://h/users/*/avatar", "GET", "/users/7/avatar/x", false),
        ("GET https://h/users/*/avatar", "GET", "/users/avatar", false),
        ("GET https://h/*/x/*", "GET", "/a/x/y/z", true),
        ("GET https://h/*/x/*", "GET", "/a/b/x/y", false),
        ("GET https://h/a/*/", "GET", "/a/b/", true),
        ("GET https://h/report-*", "GET", "/report-7/x", true),
        ("GET https://h/report-*", "GET", "/reports", false),
        ("GET https://h/%2A/x", "GET", "/a/x", false),
        ("* https://h/*", "DELETE", "/x", true),
        ("* https://h/*", "PROPFIND", "/x", true),
        ("* https://h/*", "CONNECT", "/x", false),
        ("* https://h/*", "TRACE", "/x", false),
        ("* https://h/*", "trace", "/x", false),
    ];
    for (text, method, path, expected) in cases {
        assert_eq!(permits(&rule(text), method, path), expected, "{text}: {method} {path}");
    }
}

#[test]
fn what_is_no_rule_on_requests_says_what_and_where_and_how_it_is_written() {
    const FORM: &str = "a rule on requests is methods and a URL: `GET https://api.example.com/v1/*`";
    const METHOD: &str = "a method is written in capitals, and several with commas between: `GET,HEAD`";
    const PORT: &str = "a port of a rule on requests is a number from 1 to 65535";
    const WILDCARD: &str = "`*` in a path stands for one whole segment, or at the end for any rest";
    const QUERY: &str = "a query is no part of a rule: a permitted path is permitted with every query";
    const LABELS: &str = "`*` stands for the whole beginning of a name: `*.example.com`";
    let cases = [
        ("", FORM, 0..0, None),
        ("https://h/x", FORM, 0..11, Some("write `GET https://h/x`")),
        ("GET h/x", FORM, 4..7, Some("write `https://h/x`")),
        ("get https://h/x", METHOD, 0..3, Some("write `GET https://h/x`")),
        ("GET,head https://h/x", METHOD, 4..8, Some("write `GET,HEAD https://h/x`")),
        ("GET, HEAD https://h/x", METHOD, 4..4, None),
        ("G*T https://h/x", METHOD, 0..3, None),
        ("CONNECT https://h/x", "no rule permits `CONNECT`", 0..7, None),
        ("GET,Trace https://h/x", "no rule permits `Trace`", 4..9, None),
        ("GET ftp://h/x", "a rule on requests is for `http` or `https`", 4..7, None),
        ("GET  https://h/x", "a rule on requests is for `http` or `https`", 4..10, None),
        ("GET https://u:p@h/x", "a rule has no user name and no password", 12..16, None),
        ("GET https://h:0/x", PORT, 14..15, None),
        ("GET https://h:80-90/x", PORT, 14..19, None),
        ("GET https://h:/x", PORT, 14..14, None),
        ("GET https:///x", "there is no host", 12..12, None),
        ("GET https://2001:db8::1/x", "it is neither a name nor an address", 12..23, None),
        ("GET https://a.*.com/x", LABELS, 12..19, None),
        ("GET https://*/x", LABELS, 12..13, None),
        ("GET https://h", "a rule on requests has a path", 12..13, Some("write `GET https://h/*`")),
        ("GET https://h/x?y=1", QUERY, 15..19, Some("write `GET https://h/x`")),
        ("GET https://h/x#y", QUERY, 15..17, Some("write `GET https://h/x`")),
        ("GET https://h/../x", "a path has no `.` and no `..`", 13..18, None),
        ("GET https://h//x", "a path has no empty segment", 13..16, None),
        ("GET https://h/x y", "the byte 0x20 cannot be in a path", 13..17, None),
        ("GET https://h/a*b/c", WILDCARD, 13..19, None),
        ("GET https://h/*.png", WILDCARD, 13..19, None),
        ("GET https://h/**", WILDCARD, 13..16, None),
        ("GET https://h/a/***", WILDCARD, 13..19, None),
    ];
    for (text, problem, span, hint) in cases {
        let error = text.parse::<RequestRule>().expect_err(text);

        assert_eq!((error.to_string().as_str(), error.span, error.hint.as_deref()), (problem, span, hint), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_otherwise_and_what_it_takes_it_takes_again(
        text in "(GET|\\*|GET,PUT|\\PC{0,3}) https?://[a-z0-9.:*@\\[\\]-]{0,12}/[a-z0-9%.*/;é]{0,16}"
    ) {
        match text.parse::<RequestRule>() {
            Ok(rule) => prop_assert_eq!(rule.to_string().parse::<RequestRule>(), Ok(rule)),
            Err(e) => prop_assert!(text.get(e.span.clone()).is_some(), "{:?} in {}", e.span, text),
        }
    }
}
