use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Result<String, PathError> {
    RequestPath::parse(text).map(|path| path.to_string())
}

#[test]
fn a_path_has_one_form() {
    let cases = [
        ("/", "/"),
        ("/v1/", "/v1/"),
        ("/%61%2Db%2e%5f%7Ec", "/a-b._~c"),
        ("/%c3%a9%2a", "/%C3%A9%2A"),
        ("/a%3bb;c=1,d@e:f$&'()*+=!", "/a%3Bb;c=1,d@e:f$&'()*+=!"),
        ("/a[1]|{x}^`\"<>", "/a%5B1%5D%7C%7Bx%7D%5E%60%22%3C%3E"),
        ("/100%25", "/100%25"),
        ("/100%25/x%25z", "/100%25/x%25z"),
        ("/.well-known/a..b/...", "/.well-known/a..b/..."),
        ("/app/;jsessionid=1", "/app/;jsessionid=1"),
        ("/a%20b", "/a%20b"),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_some_server_reads_as_another_path_is_none() {
    let cases = [
        ("", PathError::NoSlash),
        ("*", PathError::NoSlash),
        ("v1/x", PathError::NoSlash),
        ("http://example.com/", PathError::NoSlash),
        ("/v1/..", PathError::Dots),
        ("/v1/../admin", PathError::Dots),
        ("/v1/./x", PathError::Dots),
        ("/v1/%2e%2e/admin", PathError::Dots),
        ("/v1/%2E./admin", PathError::Dots),
        ("/v1/.%2e/admin", PathError::Dots),
        ("/v1/%2e/admin", PathError::Dots),
        ("/v1/..;/admin", PathError::Dots),
        ("/v1/..;x=y/admin", PathError::Dots),
        ("/v1/..%3b/admin", PathError::Dots),
        ("/v1/.;/admin", PathError::Dots),
        ("/v1/..%2fadmin", PathError::Encoded(b'/')),
        ("/v1/x%2Fy", PathError::Encoded(b'/')),
        ("/v1/..%5cadmin", PathError::Encoded(b'\\')),
        ("/v1/..\\admin", PathError::Byte(b'\\')),
        ("/v1/x%00.png", PathError::Encoded(0)),
        ("/v1/x%0d%0aHost:%20y", PathError::Encoded(b'\r')),
        ("/v1/%7f", PathError::Encoded(0x7f)),
        ("/v1/%252e%252e/admin", PathError::Twice),
        ("/v1/%252fadmin", PathError::Twice),
        ("/v1/%25%32%65", PathError::Twice),
        ("/v1/%c0%ae%c0%ae/admin", PathError::NotUtf8),
        ("/v1/%c0%af", PathError::NotUtf8),
        ("/v1/%e0%80%af", PathError::NotUtf8),
        ("/v1/%c3/%a9", PathError::NotUtf8),
        ("/v1/%c3x%a9", PathError::NotUtf8),
        ("/v1/%ff", PathError::NotUtf8),
        ("//v1/x", PathError::Empty),
        ("//", PathError::Empty),
        ("/v1//x", PathError::Empty),
        ("/v1/;/x", PathError::Empty),
        ("/v1/;x=1/y", PathError::Empty),
        ("/v1/x y", PathError::Byte(b' ')),
        ("/v1/x\ty", PathError::Byte(b'\t')),
        ("/v1/x\ry", PathError::Byte(b'\r')),
        ("/v1/x\0y", PathError::Byte(0)),
        ("/v1/é", PathError::Byte(0xc3)),
        ("/v1/x?y", PathError::Byte(b'?')),
        ("/v1/x#y", PathError::Byte(b'#')),
        ("/v1/%", PathError::Percent),
        ("/v1/%2", PathError::Percent),
        ("/v1/%+2", PathError::Percent),
        ("/v1/%zz", PathError::Percent),
        ("/v1/%u002e%u002e/", PathError::Percent),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(text), Err(expected), "{text}");
    }
    assert_eq!(parsed(&format!("/{}", "x".repeat(LONGEST))), Err(PathError::TooLong));
    assert_eq!(parsed(&format!("/{}", "|".repeat(LONGEST / 2))), Err(PathError::TooLong));
}

proptest! {
    #[test]
    fn the_one_form_of_a_path_is_its_own(text in "/[%0-9a-f./;\\\\A-C|~-]{0,24}") {
        if let Ok(path) = RequestPath::parse(&text) {
            prop_assert_eq!(RequestPath::parse(path.as_str()), Ok(path));
        }
    }

    #[test]
    fn no_path_has_what_another_server_could_read_otherwise(text in "/[%2ef5c0./;\\\\]{0,16}") {
        if let Ok(path) = RequestPath::parse(&text) {
            prop_assert!(!path.as_str().split('/').any(|segment| segment == "." || segment == ".."));
            prop_assert!(!path.as_str().contains("//") && !path.as_str().contains('\\'));
            prop_assert!(!path.as_str().to_ascii_lowercase().contains("%2f"));
        }
    }
}
