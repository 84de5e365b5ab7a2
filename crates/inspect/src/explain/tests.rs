use super::*;

fn frames(list: &[(&str, &str)]) -> Vec<FrameText> {
    let frame = |(module, function): &(&str, &str)| FrameText {
        address: 1,
        module: Some((*module).to_owned()),
        offset: Some(1),
        function: (!function.is_empty()).then(|| (*function).to_owned()),
        function_offset: None,
        file: None,
        line: None,
    };
    list.iter().map(frame).collect()
}

const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const LOADER: &str = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

#[test]
fn the_phase_is_read_off_the_stack() {
    for (stack, expected) in [
        (&[(LOADER, ""), (LOADER, ""), (LOADER, "")][..], CallPhase::Loader),
        (&[(LIBC, "open"), ("/lib/libfoo.so", "setup"), (LOADER, ""), (LOADER, "")], CallPhase::Initialisers),
        (
            &[(LIBC, "socket"), ("/bin/x", "main"), (LIBC, ""), (LIBC, "__libc_start_main"), ("/bin/x", "_start")],
            CallPhase::Main,
        ),
        (&[(LIBC, "socket"), ("/bin/x", ""), (LIBC, ""), (LIBC, "__libc_start_main"), ("/bin/x", "")], CallPhase::Main),
        (&[(LIBC, "socket"), ("/bin/x", ""), (LIBC, "__libc_start_main"), ("/bin/x", "")], CallPhase::Initialisers),
        (&[("/bin/x", "socket"), ("/bin/x", "__libc_start_call_main"), ("/bin/x", "_start")], CallPhase::Main),
        (&[(LIBC, "socket"), ("/bin/x", "work"), (LIBC, "start_thread"), (LIBC, "clone3")], CallPhase::Thread),
        (
            &[(LIBC, "unlink"), ("/bin/x", "bye"), (LIBC, "exit"), (LIBC, ""), (LIBC, "__libc_start_main")],
            CallPhase::Exit,
        ),
        (&[(LOADER, ""), (LOADER, ""), (LIBC, "dlopen"), ("/bin/x", "main"), (LIBC, "")], CallPhase::Main),
        (&[("/job/uploaded", "")], CallPhase::Unknown),
        (&[], CallPhase::Unknown),
    ] {
        assert_eq!(phase(&frames(stack)), expected, "{stack:?}");
    }
}

#[test]
fn the_library_is_the_one_that_asked_the_c_library() {
    let stack = frames(&[(LIBC, "socket"), ("/usr/lib/libcurl.so.4", "connect_it"), ("/usr/bin/curl", "main")]);
    assert_eq!(library(&stack).as_deref(), Some("/usr/lib/libcurl.so.4"));

    assert_eq!(library(&frames(&[(LOADER, "")])).as_deref(), Some(LOADER));
    assert_eq!(library(&[]), None);
}

#[test]
fn functions_in_place_are_frames_of_their_own() {
    let place = Place { address: 9, mapping: None, offset: Some(9), is_numbered: true };
    let inlined = vec![
        (Some("inner".to_owned()), Some("a.c".to_owned()), Some(3)),
        (Some("outer".to_owned()), Some("a.c".to_owned()), Some(7)),
    ];
    let named =
        Named { function: Some("outer".to_owned()), behind: 4, file: Some("a.c".to_owned()), line: Some(7), inlined };

    let found: Vec<_> = frame(&place, named).into_iter().map(|f| (f.function, f.function_offset, f.line)).collect();

    assert_eq!(found, [(Some("inner".to_owned()), None, Some(3)), (Some("outer".to_owned()), Some(5), Some(7))]);
}
