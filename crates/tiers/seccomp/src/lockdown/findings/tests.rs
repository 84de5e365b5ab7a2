use super::*;
use crate::lockdown::descriptors::Descriptor;
use crate::lockdown::facts::Mapping;
use lazaret_policy::Loader;
use lazaret_sys::socket::Socket;
use std::path::Path;

fn thread(id: u32, name: &str) -> Thread {
    Thread { id, name: name.to_owned(), mode: 0, filters: Some(0), is_capable: false, waits_in: None }
}

fn own() -> Own {
    Own {
        threads: vec![thread(10, "main")],
        descriptors: Vec::new(),
        mappings: Vec::new(),
        code: Vec::new(),
        mapped: 1 << 20,
        data: 1 << 20,
        locked: 0,
        tracer: 0,
        children: Vec::new(),
        within: Vec::new(),
        beside: Vec::new(),
        has_ring: false,
        reading_executes: false,
        timers: 0,
        used_seconds: 1,
    }
}

fn found_under(changes: &str, own: Own) -> Vec<Finding> {
    let text = format!("extends = \"compute\"\n{changes}");
    let policy = Loader::new().text(Path::new("test.toml"), &text).expect("a good policy");
    let facts = Facts { pid: 10, is_root: false, landlock: Ok(6), seen: Seen::All(Box::new(own)) };
    let plan = Plan::new(&policy, &facts, None).expect("a policy that can be enforced");
    all(&policy, &facts, &plan)
}

fn found(own: Own) -> Vec<Finding> {
    found_under("", own)
}

fn severity_of(found: &[Finding], part: &str) -> Option<Severity> {
    found.iter().find(|finding| finding.text.contains(part)).map(|finding| finding.severity)
}

fn descriptor(kind: Kind) -> Descriptor {
    Descriptor { number: 9, shown: "shown".to_owned(), is_writable: true, kind }
}

#[test]
fn a_plain_process_has_nothing_to_fear_or_to_hide() {
    let found = found(own());

    assert!(found.iter().all(|finding| finding.severity == Severity::Note), "{found:#?}");
}

#[test]
fn a_ring_is_refused_as_a_descriptor_as_a_mapping_and_as_a_thread() {
    let by_descriptor = found(Own { descriptors: vec![descriptor(Kind::IoUring)], ..own() });
    let mapping =
        Mapping { range: "1-2".to_owned(), name: "anon_inode:[io_uring]".to_owned(), kind: MappingKind::IoUring };
    let by_mapping = found(Own { mappings: vec![mapping], ..own() });
    let threads = vec![thread(10, "main"), thread(11, "iou-sqp-10")];
    let by_thread = found_under("[limits]\nprocesses = 2\n", Own { threads, ..own() });

    assert_eq!(by_descriptor[0].severity, Severity::Refused);
    assert_eq!(by_mapping[0].severity, Severity::Refused);
    assert_eq!(by_thread[0].severity, Severity::Refused);
}

#[test]
fn descriptors_are_judged_by_what_they_lead_to() {
    let socket = |listens| Kind::Socket(Socket { family: 2, listens, is_connected: false });
    let judged = |kind| severity_of(&found(Own { descriptors: vec![descriptor(kind)], ..own() }), "descriptor 9");

    assert_eq!(judged(Kind::ProcessMemory), Some(Severity::Refused));
    assert_eq!(judged(Kind::Powerful), Some(Severity::Widens));
    assert_eq!(judged(Kind::Namespace), Some(Severity::Widens));
    assert_eq!(judged(Kind::Kernel), Some(Severity::Widens));
    assert_eq!(judged(Kind::Unknown), Some(Severity::Widens));
    assert_eq!(judged(Kind::Device), Some(Severity::Widens));
    assert_eq!(judged(socket(true)), Some(Severity::Breaks));
    assert_eq!(judged(socket(false)), Some(Severity::Note));
    assert_eq!(judged(Kind::Directory), Some(Severity::Note));
    assert_eq!(judged(Kind::File { size: 65 << 20 }), Some(Severity::Breaks));
    assert_eq!(judged(Kind::File { size: 1 }), Some(Severity::Note));
    assert_eq!(judged(Kind::Pipe), None);
}

#[test]
fn a_socket_widens_a_policy_that_lets_it_be_addressed_anew() {
    let socket = Kind::Socket(Socket { family: 2, listens: false, is_connected: false });
    let own = Own { descriptors: vec![descriptor(socket)], ..own() };

    let found = found_under("[system-calls]\nallow = [\"sendto\"]\n", own);

    assert_eq!(severity_of(&found, "`sendto` is permitted by `sendto` (test.toml:3)"), Some(Severity::Widens));
}

#[test]
fn a_socket_that_can_bring_descriptors_widens_a_policy_that_lets_messages_be_received() {
    let socket = Kind::Socket(Socket { family: 1, listens: false, is_connected: true });
    let own = || Own { descriptors: vec![descriptor(socket.clone())], ..self::own() };

    let with = found_under("[system-calls]\nallow = [\"recvmsg\"]\n", own());

    assert_eq!(severity_of(&with, "its peer can send descriptors"), Some(Severity::Widens));
    assert_eq!(severity_of(&found(own()), "its peer can be talked to"), Some(Severity::Note));
}

#[test]
fn more_threads_than_the_policy_allows_are_refused_by_number_and_name() {
    let threads = vec![thread(10, "main"), thread(11, "helper")];

    let found = found(Own { threads, ..own() });

    assert_eq!(found[0].severity, Severity::Refused);
    assert!(found[0].text.contains("11 (`helper`)"), "{}", found[0].text);
}

#[test]
fn a_thread_with_filters_of_its_own_is_refused_by_number_and_name() {
    let other = Thread { mode: 2, filters: Some(1), ..thread(11, "helper") };

    let found = found_under("[limits]\nprocesses = 2\n", Own { threads: vec![thread(10, "main"), other], ..own() });

    assert_eq!(severity_of(&found, "thread 11 (`helper`) has system-call filters of its own"), Some(Severity::Refused));
}

#[test]
fn a_thread_that_waits_in_a_call_that_will_be_refused_is_named_with_the_call() {
    let epoll = table::number(Arch::native().expect("a table"), "epoll_pwait");
    let other = Thread { waits_in: epoll, ..thread(11, "helper") };

    let found = found_under("[limits]\nprocesses = 2\n", Own { threads: vec![thread(10, "main"), other], ..own() });

    assert_eq!(severity_of(&found, "thread 11 (`helper`) waits in `epoll_pwait`"), Some(Severity::Breaks));
}

#[test]
fn a_tracer_a_child_and_writable_code_widen() {
    let code = Mapping { range: "1-2".to_owned(), name: String::new(), kind: MappingKind::WritableCode };

    let found = found(Own { tracer: 5, children: vec![77], mappings: vec![code], reading_executes: true, ..own() });

    assert_eq!(severity_of(&found, "process 5 traces"), Some(Severity::Widens));
    assert_eq!(severity_of(&found, "child process 77"), Some(Severity::Widens));
    assert_eq!(severity_of(&found, "writable and executable"), Some(Severity::Widens));
    assert_eq!(severity_of(&found, "READ_IMPLIES_EXEC"), Some(Severity::Widens));
}

#[test]
fn a_process_with_the_same_memory_or_descriptors_and_a_ring_without_one_are_refused() {
    let found = found(Own { within: vec![5], beside: vec![5, 6], has_ring: true, ..own() });

    assert_eq!(severity_of(&found, "process 6 has the very descriptors"), Some(Severity::Refused));
    assert_eq!(severity_of(&found, "process 5 has the very descriptors"), None);
    assert_eq!(severity_of(&found, "instance without a descriptor"), Some(Severity::Refused));

    assert_eq!(severity_of(&found, "process 5 has the very memory"), Some(Severity::Refused));
}

#[test]
fn a_descriptor_that_writes_to_mapped_code_widens() {
    let own = Own { descriptors: vec![descriptor(Kind::File { size: 1 })], code: vec!["shown".to_owned()], ..own() };

    assert_eq!(
        severity_of(&found(own), "descriptor 9 (shown) writes to a file of which code is mapped"),
        Some(Severity::Widens)
    );
}
