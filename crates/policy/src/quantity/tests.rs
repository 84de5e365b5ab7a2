use super::*;

fn memory(text: &str) -> Result<MemoryLimit, QuantityError> {
    text.parse()
}

#[test]
fn sizes_are_shown_in_the_largest_unit_that_divides_them() {
    let shown: Vec<String> =
        [0, 1, 1023, 1024, 1 << 20, 1536 << 20, 1 << 30, 3 << 40, (1 << 20) + 1].map(|n| Bytes(n).to_string()).into();
    assert_eq!(shown, ["0", "1", "1023", "1KiB", "1MiB", "1536MiB", "1GiB", "3TiB", "1048577"]);
}

#[test]
fn sizes_are_read_in_powers_of_1024_and_of_1000_and_as_integers() {
    let read: Vec<u64> = ["512MiB", "64KiB", "1 GiB", "2GB", "5kB", "7B", "12345", " 1TiB "]
        .map(|text| text.parse::<Bytes>().unwrap().get())
        .into();
    assert_eq!(read, [512 << 20, 64 << 10, 1 << 30, 2_000_000_000, 5_000, 7, 12_345, 1 << 40]);
}

#[test]
fn what_a_size_is_shown_as_is_read_as_that_size() {
    for bytes in [0, 1, 4096, 4_194_304, 1 << 62, u64::MAX, 1_000_000] {
        assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
    }
}

#[test]
fn bad_sizes_say_what_is_bad_about_them() {
    let said = |text: &str| text.parse::<Bytes>().unwrap_err().to_string();
    assert_eq!(said("-1"), "`-1` is negative");
    assert_eq!(said("12parsecs"), "unknown unit `parsecs` in `12parsecs`");
    assert_eq!(said("512M"), "unknown unit `M` in `512M`");
    assert_eq!(said("1.5GiB"), "unknown unit `.5GiB` in `1.5GiB`");
    assert_eq!(said("18446744073709551616"), "`18446744073709551616` is too large");
    assert_eq!(said("16777216TiB"), "`16777216TiB` is too large");
    assert_eq!(said("lots"), "`lots` is not a size such as \"512MiB\" or an integer number of bytes");
    assert_eq!(said(""), "`` is not a size such as \"512MiB\" or an integer number of bytes");
}

#[test]
fn sizes_out_of_their_bounds_are_rejected_not_clamped() {
    assert_eq!(memory("4MiB").unwrap().bytes(), 4 << 20);
    assert_eq!(
        memory("4194303").unwrap_err().to_string(),
        "4194303 is out of range: at least 4MiB and at most 9223372036854775807"
    );
    assert!("9223372036854775808".parse::<MemoryLimit>().is_err());
    assert!("65535".parse::<DiskLimit>().is_err());
    assert!("64KiB".parse::<DiskLimit>().is_ok());
    assert!("0".parse::<FileSizeLimit>().is_err());
    assert!("0".parse::<OutputLimit>().is_ok());
}

#[test]
fn counts_keep_to_their_bounds() {
    for (text, good) in [("0", false), ("1", true), ("32768", true), ("32769", false), ("4294967297", false)] {
        assert_eq!(text.parse::<ProcessLimit>().is_ok(), good, "{text}");
    }
    for (text, good) in [("3", false), ("4", true), ("1048576", true), ("1048577", false)] {
        assert_eq!(text.parse::<OpenFilesLimit>().is_ok(), good, "{text}");
    }
    assert_eq!("64k".parse::<ProcessLimit>().unwrap_err().to_string(), "`64k` is not an integer such as 64");
}

#[test]
fn times_are_shown_as_they_are_written() {
    for text in ["1ms", "500ms", "30s", "90s", "2m", "24h", "1500us", "1000001ns"] {
        assert_eq!(text.parse::<TimeLimit>().unwrap().to_string(), text);
    }
    assert_eq!("1m 30s".parse::<TimeLimit>().unwrap().to_string(), "90s");
}

#[test]
fn bad_times_say_what_is_bad_about_them() {
    let said = |text: &str| text.parse::<TimeLimit>().unwrap_err().to_string();
    assert_eq!(said("30"), "`30` has no unit");
    assert_eq!(said("-5s"), "`-5s` is negative");
    assert_eq!(said("5parsecs"), "unknown unit `parsecs` in `5parsecs`");
    assert_eq!(said("soon"), "`soon` is not a time such as \"30s\", \"500ms\" or \"2m\"");
    assert_eq!(said(""), "`` is not a time such as \"30s\", \"500ms\" or \"2m\"");
    assert_eq!(said("0s"), "0s is out of range: at least 1ms and at most 24h");
    assert_eq!(said("25h"), "25h is out of range: at least 1ms and at most 24h");
    assert_eq!(said("99999999999999999999s"), "`99999999999999999999s` is too large");
}

#[test]
fn processor_bandwidth_is_exact_to_a_thousandth_of_a_core() {
    for (text, millis) in [("1", 1000), ("1.5", 1500), ("0.01", 10), ("2.125", 2125)] {
        let cpus: Cpus = text.parse().unwrap();
        assert_eq!((cpus.millis(), cpus.to_string().as_str()), (millis, text));
    }
    assert_eq!("1.5".parse::<Cpus>().unwrap().quota_us(100_000), 150_000);
    for bad in ["0", "0.001", "-1", "1.5555", "1.", ".5", "1e3", "5000", "many", "1.+5"] {
        assert!(bad.parse::<Cpus>().is_err(), "{bad}");
    }
}

#[test]
fn every_error_has_a_hint() {
    for text in ["x", "-1s", "99999999999999999999s", "5parsecs", "30", "25h"] {
        assert!(!text.parse::<TimeLimit>().unwrap_err().hint().is_empty(), "{text}");
    }
}
