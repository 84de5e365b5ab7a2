use super::*;
use std::path::Path;

fn session(arch: &str, command: &str) -> Session {
    Session {
        lazaret: "0.1.0".to_owned(),
        machine: Machine { arch: arch.to_owned(), kernel: "6.1".to_owned(), system: String::new(), confined: true },
        command: vec![command.to_owned(), "{}".to_owned()],
        base: None,
        environment: [("LANG".to_owned(), "C".to_owned())].into(),
        files: vec!["a".to_owned(), "b".to_owned()],
        left_out: Vec::new(),
        failed: Vec::new(),
        programs: vec![Program { path: format!("/usr/bin/{command}"), sha256: "00".to_owned() }],
        calls: vec![CallFact {
            call: "ioctl".to_owned(),
            values: vec![0x5401],
            example: [1, 0x5401, u64::MAX, 0, 0, 0],
            by: Origin::Program,
            program: 0,
            answer: Answered::Made,
            files: Seen::once(1),
        }],
        paths: Vec::new(),
        hosts: Vec::new(),
        names: Vec::new(),
        peaks: Peaks::default(),
        possible: None,
    }
}

fn parse(text: &str) -> Result<Recording, RecordError> {
    file::parse(Path::new("r.json"), text.as_bytes())
}

fn text(recording: &Recording) -> String {
    serde_json::to_string_pretty(recording).expect("it is plain data")
}

#[test]
fn a_recording_reads_as_it_was_written() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = directory.path().join("r.json");
    let recording = Recording::new(session("x86_64", "convert"));

    write(&path, &recording).expect("the directory is ours");

    assert_eq!(read(&path).expect("it was just written"), recording);
}

#[test]
fn a_recording_that_was_cut_anywhere_is_an_error_that_says_so() {
    let whole = text(&Recording::new(session("x86_64", "convert")));
    let start = whole.find("sessions").expect("it has sessions");

    for end in (start..whole.len() - 1).step_by(7) {
        let error = parse(&whole[..end]).expect_err("half a recording is none");
        assert!(matches!(error, RecordError::CutOff { .. }), "{end}: {error}");
    }
}

#[test]
fn a_newer_version_is_an_error_that_names_it_whatever_else_it_has() {
    let error = parse(r#"{"format": "lazaret recording", "version": 7, "news": []}"#).expect_err("it is newer");

    assert!(matches!(error, RecordError::Newer { version: 7, .. }), "{error}");
    assert!(error.to_string().contains("version 7"), "{error}");
}

#[test]
fn what_is_something_else_is_not_taken_for_a_recording() {
    for other in ["", "[]", "{}", "tier = \"jail\"", r#"{"format": "other", "version": 1}"#, "\u{0}"] {
        assert!(matches!(parse(other), Err(RecordError::Foreign { .. })), "{other}");
    }
}

#[test]
fn facts_about_runs_programs_or_arguments_that_are_not_there_are_an_error() {
    let mut beyond = session("x86_64", "convert");
    beyond.calls[0].files = Seen::once(2);
    let mut stranger = session("x86_64", "convert");
    stranger.calls[0].program = 1;
    let mut never = session("x86_64", "convert");
    never.calls[0].files = Seen::default();
    let mut short = session("x86_64", "convert");
    short.calls[0].values.clear();

    for session in [beyond, stranger, never, short, self::session("mips", "convert")] {
        let error = parse(&text(&Recording::new(session))).expect_err("it contradicts itself");
        assert!(matches!(error, RecordError::Inconsistent { .. }), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_replaced_stays_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = directory.path().join("dir");
    std::fs::create_dir(&path).expect("it is ours");

    let error = write(&path, &Recording::new(session("x86_64", "convert"))).expect_err("a directory is in the way");

    assert!(matches!(error, RecordError::Write { .. }), "{error}");
    assert!(path.is_dir());
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is ours").count(), 1);
}

#[test]
fn joined_sessions_are_kept_as_they_were_and_their_differences_named() {
    let (first, mut second) = (session("x86_64", "convert"), session("x86_64", "identify"));
    second.base = Some("default".to_owned());
    second.environment.insert("LANG".to_owned(), "de".to_owned());
    let third = session("aarch64", "convert");

    let (joined, conflicts) =
        join([&first, &second, &third].into_iter().map(|session| Recording::new(session.clone())).collect());

    assert_eq!(joined.sessions, [first, second, third]);
    let said: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    for part in ["identify", "default", "LANG", "aarch64"] {
        assert!(said.iter().any(|line| line.contains(part)), "{part}: {said:?}");
    }
}

#[test]
fn another_version_of_a_program_is_named_and_the_same_session_counts_once() {
    let first = session("x86_64", "convert");
    let mut second = first.clone();
    second.programs[0].sha256 = "ff".to_owned();
    let recordings = [&first, &second, &first].map(|session| Recording::new(session.clone()));

    let (joined, conflicts) = join(recordings.to_vec());

    assert_eq!(joined.sessions.len(), 2);
    assert_eq!(conflicts, [Conflict::Program { path: "/usr/bin/convert".to_owned() }, Conflict::Twice]);
}

#[test]
fn runs_are_written_as_ranges() {
    let mut seen = Seen::default();
    for run in [0, 1, 2, 5, 63, 64, 200] {
        seen.insert(run);
    }

    let text = serde_json::to_string(&seen).expect("it is text");

    assert_eq!(text, "\"0-2,5,63-64,200\"");
    assert_eq!(serde_json::from_str::<Seen>(&text).expect("it is what was written"), seen);
    assert_eq!((seen.count(), seen.first(), seen.contains(64), seen.contains(65)), (7, Some(0), true, false));
    assert!(serde_json::from_str::<Seen>("\"0-99999999999\"").is_err());
    assert!(serde_json::from_str::<Seen>("\"a\"").is_err());
}
