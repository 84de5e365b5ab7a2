use super::*;

fn name(bytes: &[u8]) -> Result<FileName, FileNameError> {
    FileName::new(OsStr::from_bytes(bytes))
}

fn named(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

#[test]
fn a_file_name_is_one_component_of_a_path() {
    assert_eq!(name(b""), Err(FileNameError::Empty));
    assert_eq!(name(b"."), Err(FileNameError::Dots));
    assert_eq!(name(b".."), Err(FileNameError::Dots));
    assert_eq!(name(&[b'a'; 256]), Err(FileNameError::TooLong { bytes: 256 }));
    assert_eq!(name(b"a/b"), Err(FileNameError::Slash { name: "a/b".to_owned() }));
    assert_eq!(name(b"a\0b"), Err(FileNameError::Nul { name: "a\\x00b".to_owned() }));
    assert!(name(&[b'a'; 255]).is_ok());
    assert!(name(b"...").is_ok());
    assert!(name(b"-rf").is_ok());
}

#[test]
fn odd_bytes_in_a_name_are_shown_so_that_they_cannot_drive_a_terminal() {
    assert_eq!(name(b"a\nb\x1b[31m\xff\\").unwrap().to_string(), "a\\x0ab\\x1b[31m\\xff\\\\");
    assert_eq!(named("Übergröße 写真.png").to_string(), "Übergröße 写真.png");
    assert_eq!(named("gpj\u{202e}.exe").to_string(), "gpj\\xe2\\x80\\xae.exe");
}

#[test]
fn names_survive_json_whatever_their_bytes() {
    for bytes in [&b"plain.txt"[..], b"new\nline", b"\xff\xfe", b"back\\slash\\x41", "ümläut".as_bytes()] {
        let original = name(bytes).unwrap();
        let json = serde_json::to_string(&original).unwrap();
        assert_eq!(serde_json::from_str::<FileName>(&json).unwrap(), original, "{json}");
    }
}

#[test]
fn json_cannot_smuggle_in_a_bad_name() {
    for json in [r#""../x""#, r#""""#, r#""a\\x2fb""#, r#""a\\q""#, r#""a\\x4""#, r#""\\x2e\\x2e""#] {
        assert!(serde_json::from_str::<FileName>(json).is_err(), "{json}");
    }
}

#[test]
fn an_input_has_the_base_name_of_its_path() {
    assert_eq!(Input::file("/srv/in/photo.jpg").unwrap().name, named("photo.jpg"));
    assert_eq!(Input::file("/").unwrap_err(), JobError::NoBaseName { path: PathBuf::from("/") });
    assert_eq!(Input::file("a/..").unwrap_err(), JobError::NoBaseName { path: PathBuf::from("a/..") });
}

#[test]
fn two_inputs_of_one_name_are_an_error() {
    let mut job = Job::new("cat");
    job.inputs = vec![Input::file("/a/x").unwrap(), Input::bytes(named("x"), "")];
    let error = job.check().unwrap_err();
    assert_eq!(error.to_string(), "two inputs are named `x`");
    assert_eq!(error.hint(), "give one of them another name, `--in HOST:NAME`, NAME not `x`");
}

#[test]
fn one_output_asked_for_twice_is_an_error() {
    let mut job = Job::new("cat");
    let output = Output { name: named("x"), to: None };
    job.outputs = vec![output.clone(), output];
    assert_eq!(job.check().unwrap_err(), JobError::DuplicateOutput { name: named("x") });
}

#[test]
fn what_execve_cannot_pass_is_an_error() {
    assert_eq!(Job::new("").check(), Err(JobError::EmptyCommand));
    let mut job = Job::new("echo");
    job.args = vec!["a\0b".into()];
    assert_eq!(job.check(), Err(JobError::Nul { text: "a\\x00b".to_owned() }));
    let mut job = Job::new("echo");
    job.environment = vec![("A=B".to_owned(), String::new())];
    assert_eq!(job.check(), Err(JobError::VariableName { name: "A=B".to_owned() }));
    let mut job = Job::new("echo");
    job.environment = vec![("A".to_owned(), "\0".to_owned())];
    assert_eq!(job.check(), Err(JobError::Nul { text: "A=\\x00".to_owned() }));
}

#[test]
fn an_output_may_have_the_name_of_an_input() {
    let mut job = Job::new("mogrify");
    job.inputs = vec![Input::bytes(named("x"), "")];
    job.outputs = vec![Output { name: named("x"), to: None }];
    assert_eq!(job.check(), Ok(()));
}
