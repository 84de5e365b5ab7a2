use super::*;

fn name(text: &str) -> String {
    match Host::parse(text) {
        Ok(Host::Name(name)) => name.to_string(),
        other => panic!("`{text}` is {other:?}"),
    }
}

#[test]
fn spellings_of_one_name_are_one_name() {
    for text in [
        "images.example.com",
        "IMAGES.Example.COM",
        "images.example.com.",
        "images。example。com",
        "ｉmages.example.com",
    ] {
        assert_eq!(name(text), "images.example.com", "{text}");
    }
    for text in ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "bu\u{308}cher.example"] {
        assert_eq!(name(text), "xn--bcher-kva.example", "{text}");
    }
    assert_eq!(name("_service.host-1.internal"), "_service.host-1.internal");
}

#[test]
fn what_is_no_host_says_why() {
    let long = format!("{}.example", "a".repeat(64));
    let longer = ["a"; 128].join(".");
    let cases = [
        ("", HostError::Empty),
        (".", HostError::Empty),
        ("a b", HostError::Character(' ')),
        ("a\0b", HostError::Character('\0')),
        ("user@host", HostError::Character('@')),
        ("host/path", HostError::Character('/')),
        ("ho%73t", HostError::Character('%')),
        ("127.0.0.1%00.example.com", HostError::Character('%')),
        ("fe80::1%eth0", HostError::Zone),
        ("[fe80::1%25eth0]", HostError::Zone),
        ("*.example.com", HostError::Character('*')),
        ("[::1", HostError::Neither),
        ("::1]", HostError::Neither),
        ("[127.0.0.1]", HostError::Neither),
        ("1.2.3.4.5", HostError::Neither),
        ("256.1.1.1", HostError::Neither),
        ("0x100000000", HostError::Neither),
        ("1.2.3.08", HostError::Neither),
        ("a..b", HostError::Name("a label of a name cannot be empty")),
        ("-a.example", HostError::Name("a label of a name neither begins nor ends with a hyphen")),
        (&long, HostError::Name("a label of a name has 63 bytes at most")),
        (&longer, HostError::Name("a name has 253 bytes at most")),
    ];
    for (text, expected) in cases {
        assert_eq!(Host::parse(text), Err(expected), "{text}");
    }
}

#[test]
fn a_name_is_below_another_by_whole_labels() {
    let parsed = |text| match Host::parse(text) {
        Ok(Host::Name(name)) => name,
        other => panic!("{other:?}"),
    };
    let parent = parsed("example.com");

    let below = ["a.example.com", "a.b.example.com"].map(|text| parsed(text).is_below(&parent));
    let not =
        ["example.com", "badexample.com", "example.com.evil.net", "com"].map(|text| parsed(text).is_below(&parent));

    assert_eq!((below, not), ([true; 2], [false; 4]));
}
