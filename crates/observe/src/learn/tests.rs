use super::*;
use crate::record::{
    Access, Answered, CallFact, Machine, Origin, PathFact, PathKind, Peaks, Possible, Program, Recording, Seen, Session,
};
use lazaret_filter::{Action, Arch, Call, Filter, Rule, table};
use lazaret_policy::{CallAction, Policy};

/// A call in one run.
fn call(run: usize, name: &str, args: [u64; 6]) -> CallFact {
    CallFact {
        call: name.to_owned(),
        values: look::looks(name).iter().map(|look| look.at(&args)).collect(),
        example: args,
        by: Origin::Program,
        program: 0,
        answer: Answered::Made,
        files: Seen::once(run),
    }
}

fn session(files: usize, calls: Vec<CallFact>) -> Session {
    Session {
        lazaret: "0.1.0".to_owned(),
        machine: Machine {
            arch: "x86_64".to_owned(),
            kernel: "6.1".to_owned(),
            system: "Some System".to_owned(),
            confined: true,
        },
        command: vec!["tool".to_owned(), "{}".to_owned()],
        base: None,
        environment: session::ORDINARY.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        files: (0..files).map(|at| format!("f{at}")).collect(),
        left_out: Vec::new(),
        failed: Vec::new(),
        programs: vec![Program { path: "/usr/bin/tool".to_owned(), sha256: String::new() }],
        calls,
        paths: vec![PathFact {
            path: "/usr/bin/tool".to_owned(),
            leads: vec!["/usr/bin/tool".to_owned()],
            kind: PathKind::File,
            access: Access::Execute,
            by: Origin::Program,
            program: 0,
            files: Seen::once(0),
        }],
        hosts: Vec::new(),
        names: Vec::new(),
        peaks: Peaks::default(),
        possible: None,
    }
}

fn rules(calls: Vec<CallFact>) -> Vec<String> {
    let recording = Recording::new(session(50, calls));
    let learned = learned(&recording, None, Shape::default());
    learned.rules.into_iter().map(|rule| rule.rule).filter(|rule| rule != "execve").collect()
}

fn policy(learned: &Learned) -> Policy {
    let text = render(learned, None);
    lazaret::policy_text("learned.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn permits(policy: &Policy, name: &str, args: [u64; 6]) -> bool {
    let nr = table::number(Arch::X86_64, name).expect("it is a call");
    session::filter(policy).decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args }).action.permits()
}

#[test]
fn few_values_make_a_condition() {
    let ioctls = vec![call(0, "ioctl", [1, 0x5401, 0, 0, 0, 0]), call(3, "ioctl", [0, 0x5413, 0, 0, 0, 0])];

    assert_eq!(rules(ioctls), ["ioctl(request in [TCGETS, TIOCGWINSZ])"]);
    assert_eq!(rules(vec![call(0, "madvise", [0, 0, 4, 0, 0, 0])]), ["madvise(advice == MADV_DONTNEED)"]);
}

#[test]
fn more_values_than_eight_make_none() {
    let ioctls = |count: u64| (0..count).map(|at| call(0, "ioctl", [0, 0x9000 + at, 0, 0, 0, 0])).collect();

    assert!(rules(ioctls(8))[0].starts_with("ioctl(request in ["));
    assert_eq!(rules(ioctls(9)), ["ioctl"]);
}

#[test]
fn opening_for_reading_alone_is_told_from_writing() {
    let read = call(0, "openat", [0, 0, 0o2_000_000, 0, 0, 0]);
    let write = call(5, "openat", [0, 0, 0o101, 0o644, 0, 0]);

    assert_eq!(rules(vec![read.clone()]), ["openat(flags & O_WRONLY | O_RDWR | O_CREAT | O_TRUNC == 0)"]);
    assert_eq!(rules(vec![read, write]), ["openat"]);
}

#[test]
fn a_socket_is_allowed_as_it_was_made_and_no_other() {
    let learned_rules =
        rules(vec![call(0, "socket", [1, 1 | 0o2_000_000, 0, 0, 0, 0]), call(0, "socket", [2, 2, 0, 0, 0, 0])]);

    let mut filter = Filter::new(Action::Kill);
    for rule in &learned_rules {
        filter.push(Rule::parse(rule).expect("it is a rule"), Action::Allow);
    }
    let nr = table::number(Arch::X86_64, "socket").expect("it is a call");
    let permits = |domain, kind, protocol| {
        let args = [domain, kind, protocol, 0, 0, 0];
        filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args }).action.permits()
    };
    assert!(permits(1, 1, 0) && permits(2, 2, 0) && permits(1, 1 | 0o4000, 0));
    assert!(!permits(2, 1, 0) && !permits(1, 2, 0) && !permits(2, 3, 0) && !permits(16, 1, 0) && !permits(2, 2, 1));
}

#[test]
fn threads_and_processes_are_told_apart_and_namespaces_from_both() {
    let threads = rules(vec![call(0, "clone", [0x3d_0f00, 0, 0, 0, 0, 0])]);

    let filter = Filter::new(Action::Kill).rule(Rule::parse(&threads[0]).expect("it is a rule"), Action::Allow);
    let nr = table::number(Arch::X86_64, "clone").expect("it is a call");
    let permits = |flags| {
        filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args: [flags, 0, 0, 0, 0, 0] }).action.permits()
    };
    assert!(permits(0x3d_0f00));
    assert!(!permits(0x11) && !permits(0x1001_0000));
}

#[test]
fn calls_that_were_answered_with_a_failure_need_no_rule() {
    let never = CallFact { answer: Answered::Never, ..call(0, "clone3", [0; 6]) };
    let silenced = CallFact { answer: Answered::Silenced, ..call(0, "statfs", [0; 6]) };

    assert_eq!(rules(vec![never, silenced]), Vec::<String>::new());
}

#[test]
fn a_rule_says_which_file_needed_it_first_and_how_many_did() {
    let mut read = call(7, "read", [0; 6]);
    read.files.insert(9);
    let mut open = call(7, "openat", [0; 6]);
    open.by = Origin::Loader;
    let learned = learned(&Recording::new(session(50, vec![read, open])), None, Shape::default());

    let text = render(&learned, None);

    assert!(text.contains(r#"rule = "read", why = "first needed by f7; by 2 of 50 files; program""#), "{text}");
    assert!(text.contains(r#"first needed by f7; by 1 of 50 files; loader""#), "{text}");
}

#[test]
fn a_learned_policy_loads_and_permits_what_was_seen_and_nothing_else() {
    let seen = vec![
        call(0, "read", [0; 6]),
        call(0, "mmap", [0, 4096, 3, 0x22, u64::MAX, 0]),
        call(0, "prctl", [15, 0, 0, 0, 0, 0]),
    ];
    let learned = learned(&Recording::new(session(50, seen)), None, Shape::default());

    let policy = policy(&learned);

    assert!(permits(&policy, "read", [0; 6]));
    assert!(permits(&policy, "mmap", [0, 4096, 3, 0x22, u64::MAX, 0]));
    assert!(permits(&policy, "execve", [0; 6]), "the command is started under the filter");
    assert!(!permits(&policy, "mmap", [0, 4096, 7, 0x22, u64::MAX, 0]), "writable and executable");
    assert!(!permits(&policy, "prctl", [22, 0, 0, 0, 0, 0]));
    assert!(!permits(&policy, "socket", [2, 1, 0, 0, 0, 0]));
}

#[test]
fn on_top_of_a_base_only_what_it_lacks_is_written() {
    let base = lazaret::profile("default").expect("it is built in");
    let seen = vec![call(0, "read", [0; 6]), call(0, "mlockall", [1, 0, 0, 0, 0, 0])];
    let learned = learned(&Recording::new(session(50, seen)), Some(&base), Shape::default());

    let text = render(&learned, Some("default"));

    assert_eq!(
        learned.rules.iter().map(|rule| rule.rule.as_str()).collect::<Vec<_>>(),
        ["mlockall(flags == MCL_CURRENT)"]
    );
    let policy = lazaret::policy_text("learned.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(policy.chain, ["default"]);
    assert!(!text.contains("\n[limits]"), "{text}");
}

#[test]
fn a_policy_of_too_few_files_says_that_it_is_not_ready() {
    let learned = learned(&Recording::new(session(20, vec![call(0, "read", [0; 6])])), None, Shape::default());

    assert!(!learned.is_ready());
    assert!(render(&learned, None).starts_with("# NOT READY"));
    assert!(policy(&learned).description.contains("NOT READY"));
}

#[test]
fn a_policy_that_grew_until_the_end_is_not_ready_and_one_that_settled_is() {
    let with = |run| learned(&Recording::new(session(50, vec![call(run, "read", [0; 6])])), None, Shape::default());

    assert!(!with(30).is_ready());
    assert_eq!(with(30).saturation[0].1.last_call, Some(31));
    assert!(with(29).is_ready());
    assert!(!render(&with(29), None).contains("NOT READY"));
}

#[test]
fn values_that_change_nothing_any_more_are_not_new() {
    let ioctls = (0..40).map(|at| call(at, "ioctl", [0, 0x9000 + at as u64, 0, 0, 0, 0])).collect();

    let learned = learned(&Recording::new(session(50, ioctls)), None, Shape::default());

    // With the ninth value the condition fell.
    assert_eq!(learned.saturation[0].1.last_call, Some(9));
}

#[test]
fn joined_recordings_are_one_policy_in_which_each_architecture_is_saturated_by_itself() {
    let mut arm = session(30, vec![call(29, "ppoll", [0; 6])]);
    arm.machine.arch = "aarch64".to_owned();
    arm.paths[0].path = "/opt/tool".to_owned();
    arm.paths[0].leads = vec!["/opt/tool".to_owned()];
    let recording = Recording {
        sessions: vec![session(30, vec![call(0, "poll", [0; 6])]), arm],
        ..Recording::new(session(1, vec![]))
    };

    let learned = learned(&recording, None, Shape::default());

    let ready: Vec<_> = learned.saturation.iter().map(|(arch, of)| (arch.as_str(), of.is_ready())).collect();
    assert_eq!(ready, [("aarch64", false), ("x86_64", true)]);
    let text = render(&learned, None);
    assert!(text.contains(r#"rule = "poll""#) && text.contains(r#"rule = "ppoll""#), "{text}");
    assert!(text.contains("first needed by f29; by 1 of 60 files"), "{text}");
    assert!(text.contains(r#"path = "/opt/tool", optional = true"#), "what one machine has is optional: {text}");
}

#[test]
fn groups_replace_rules_only_when_asked_and_let_through_no_less() {
    let names = [
        "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "fstat", "close", "dup", "dup2", "flock",
        "fcntl",
    ];
    let recording = Recording::new(session(50, names.iter().map(|name| call(0, name, [0; 6])).collect()));

    let plain = learned(&recording, None, Shape::default());
    let grouped = learned(&recording, None, Shape { groups: true, ..Shape::default() });

    assert!(plain.rules.iter().all(|rule| !rule.rule.starts_with('@')));
    assert!(grouped.rules.iter().any(|rule| rule.rule == "@descriptors"), "{:?}", grouped.rules);
    assert!(names.iter().all(|name| permits(&policy(&grouped), name, [0; 6])));
}

#[test]
fn siblings_are_let_through_when_asked() {
    let recording = Recording::new(session(50, vec![call(0, "poll", [0; 6])]));
    let portable = Shape { portable: true, ..Shape::default() };

    assert!(!permits(&policy(&learned(&recording, None, Shape::default())), "ppoll", [0; 6]));
    assert!(permits(&policy(&learned(&recording, None, portable)), "ppoll", [0; 6]));
}

#[test]
fn seen_possible_and_neither_have_an_action_each() {
    let mut session = session(50, vec![call(0, "read", [0; 6])]);
    let calls = ["clone3", "io_uring_setup", "read", "socket"].map(str::to_owned).to_vec();
    session.possible = Some(Possible { calls, files: vec!["/usr/bin/tool".to_owned()], unread: vec![], unknown: 2 });
    let recording = Recording::new(session);
    let action = |possible, neither, name: &str| {
        let strictness = Strictness { possible, neither };
        let policy = policy(&learned(&recording, None, Shape { strictness, ..Shape::default() }));
        let nr = table::number(Arch::X86_64, name).expect("it is a call");
        session::filter(&policy).decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args: [0; 6] }).action
    };

    assert_eq!(action(CallAction::Log, None, "read"), Action::Allow);
    assert_eq!(action(CallAction::Log, None, "socket"), Action::Log);
    assert_eq!(action(CallAction::Log, None, "mount"), Action::Refuse(1));
    assert_eq!(action(CallAction::Refuse, Some(CallAction::Kill), "socket"), Action::Refuse(1));
    assert_eq!(action(CallAction::Refuse, Some(CallAction::Kill), "mount"), Action::Kill);
    assert_eq!(action(CallAction::Allow, None, "socket"), Action::Allow);
    assert_eq!(action(CallAction::Refuse, None, "socket"), Action::Refuse(1));
}

#[test]
fn names_of_files_cannot_break_out_of_the_policy() {
    let mut session = session(50, vec![call(0, "read", [0; 6])]);
    session.files[0] = "a\"\n[system-calls]\ndefault = \"allow\"\n\u{1b}[31m".to_owned();
    session.left_out = vec![crate::record::LeftOut { file: "b\n[limits]".to_owned(), why: "x\ny".to_owned() }];
    session.command.push("c\n[net]".to_owned());

    let policy = policy(&learned(&Recording::new(session), None, Shape::default()));

    assert_eq!(policy.system_calls.default.value, CallAction::Refuse);
}
