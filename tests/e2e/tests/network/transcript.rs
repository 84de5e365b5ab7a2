//! What the report and the terminal tell of a job's network.

use crate::stage::{PYTHON, Told as _, V4, V6, on_a_terminal, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet};
use serde_json::Value;

as_root_and_user_in_an_internet![
    a_connection_is_told_with_name_address_port_rule_and_bytes,
    a_refusal_is_told_once_with_reason_suggestion_and_count,
    what_failed_is_told_apart_from_what_was_denied,
    a_suggestion_permits_what_was_refused,
    what_nothing_should_permit_has_no_suggestion,
    hostile_names_break_no_line,
    too_many_kinds_of_refusals_are_counted,
    a_terminal_shows_what_was_refused_and_what_failed,
    a_job_without_a_network_has_no_transcript,
    the_report_is_of_its_schema,
];

fn a_connection_is_told_with_name_address_port_rule_and_bytes(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _echo = Server::echo("[::]:8000");
    let program = "
import socket
for host in ('www.example.com', '10.1.2.3', '2a00:1450:4001::93'):
    with socket.create_connection((host, 8000)) as made:
        made.sendall(b'x' * 1000)
        taken = 0
        while taken < 1000: taken += len(made.recv(1000))
";
    let job = reaching(runner, &["*.example.com:8000-8010", "10.0.0.0/8:8000", "[2a00:1450::]:1"]);

    let ended = job.command(PYTHON).argument(program).run();

    let _printed = ended.printed();
    let connections = ended.report.at("/network/connections").as_array().expect("connections");
    let part = |key: &str| connections.iter().map(|made| made[key].clone()).collect::<Vec<Value>>();
    assert_eq!(part("name"), [Value::from("www.example.com"), Value::Null, Value::from("www.example.com")]);
    assert!([V4, V6].contains(&connections[0]["address"].as_str().expect("a text")), "{}", ended.told());
    assert_eq!((&part("address")[1..], &part("port")[0]), (&["10.1.2.3".into(), V6.into()][..], &8000.into()));
    assert_eq!(part("rule"), ["*.example.com:8000-8010", "10.0.0.0/8:8000", "*.example.com:8000-8010"]);
    assert_eq!(part("outcome"), ["connected"; 3]);
    assert_eq!(part("sent"), vec![Value::from(1000); 3]);
    // The kernel counts the end of the stream as one more.
    assert!(
        part("received").iter().all(|bytes| [1000, 1001].contains(&bytes.as_u64().unwrap_or(0))),
        "{}",
        ended.told()
    );
    assert!(connections.iter().all(|made| made["duration_us"].as_u64().is_some_and(|micros| micros > 0)));
    assert_eq!(ended.report.names(), [format!("www.example.com {V6},{V4}")]);
}

fn a_refusal_is_told_once_with_reason_suggestion_and_count(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let script = "for i in 1 2 3; do curl -s http://10.1.2.3/; curl -4 -s http://www.example.com:81/; done; \
                  curl -4 -s http://evil.example/; exit 0";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    let _printed = ended.printed();
    let refused = ended.report.at("/network/refused").as_array().expect("refusals");
    let by = |name: &Value, address: &Value| {
        let found = refused.iter().find(|refusal| (&refusal["name"], &refusal["address"]) == (name, address));
        let refusal = found.unwrap_or_else(|| panic!("{name} {address}: {}", ended.told()));
        (refusal["act"].clone(), refusal["port"].clone(), refusal["count"].clone(), refusal["suggestion"].clone())
    };
    let suggestion = |rule: &str| Value::from(format!("[net] allow = [\"{rule}\"]"));
    let connect = |port, rule: &str| ("connect".into(), Value::from(port), Value::from(3), suggestion(rule));
    assert_eq!(by(&Value::Null, &"10.1.2.3".into()), connect(80, "10.1.2.3:80"));
    assert_eq!(by(&"www.example.com".into(), &V4.into()), connect(81, "www.example.com:81"));
    let resolve = ("resolve".into(), Value::Null, Value::from(1), suggestion("evil.example:443"));
    assert_eq!(by(&"evil.example".into(), &Value::Null), resolve);
    assert_eq!(ended.report.connections(), Vec::<String>::new());
}

fn what_failed_is_told_apart_from_what_was_denied(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let script = format!(
        "wget -4 -q -t 1 http://www.example.com/; wget -q -t 1 http://{}/; curl -s http://10.1.2.4/; exit 0",
        Internet::UNREACHABLE
    );
    let rules = ["www.example.com:80", &format!("{}:80", Internet::UNREACHABLE)];

    let ended = reaching(runner, &rules).shell(&script).run();

    let _printed = ended.printed();
    let failed = [
        format!("www.example.com {V4}:80 failed Connection refused (os error 111)"),
        format!("- {}:80 failed No route to host (os error 113)", Internet::UNREACHABLE),
    ];
    assert_eq!(ended.report.connections(), failed);
    assert_eq!(ended.report.refused_hosts().len(), 1, "{}", ended.told());
}

/// The rule in a suggestion.
fn rule(suggestion: &Value) -> String {
    let text = suggestion.as_str().unwrap_or_else(|| panic!("no suggestion: {suggestion}"));
    text.split('"').nth(1).unwrap_or_else(|| panic!("no rule: {text}")).to_owned()
}

fn a_suggestion_permits_what_was_refused(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("a.example.com", Says::at(&[V4])), ("b.example.com", Says::at(&[V4]))]);
    let _web = Server::http("[::]:443", "here");
    let script =
        "curl -s http://a.example.com:443/; curl -s http://b.example.com:443/; curl -s http://[fd12::77]:443/; true";
    let mut rules = vec!["unused.example.com:1".to_owned()];
    let mut printed = String::new();
    for _ in 0..4 {
        let texts: Vec<&str> = rules.iter().map(String::as_str).collect();
        let ended = reaching(runner, &texts).shell(script).run();
        printed = ended.printed();
        let refused = ended.report.at("/network/refused").as_array().expect("refusals").clone();
        let found = refused.iter().filter(|refusal| !refusal["suggestion"].is_null());
        rules.extend(found.map(|refusal| rule(&refusal["suggestion"])));
        rules.sort();
        rules.dedup();
    }

    assert_eq!(printed, "herehere".to_owned() + "here", "{rules:?}");
}

fn what_nothing_should_permit_has_no_suggestion(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("m.example.com", Says::at(&["169.254.169.254"]))]);
    let script =
        "curl -s http://169.254.169.254/; curl -s http://m.example.com/; curl -s http://[fd00:ec2::254]/; exit 0";

    let ended = reaching(runner, &["m.example.com:80", "169.254.0.0/16:80"]).shell(script).run();

    let _printed = ended.printed();
    let refused = ended.report.at("/network/refused").as_array().expect("refusals");
    assert_eq!(refused.len(), 3, "{}", ended.told());
    assert!(refused.iter().all(|refusal| refusal["suggestion"].is_null()), "{}", ended.told());
}

fn hostile_names_break_no_line(runner: &Runner, _: &Internet) {
    // Labels with line ends, escapes of terminals, quotes, bytes that are no text, and dots.
    let program = r#"
import socket, struct, sys
def ask(*labels):
    name = b''.join(bytes([len(label)]) + label for label in labels) + b'\0'
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(5)
    server.sendto(struct.pack('>6H', 7, 0x100, 1, 0, 0, 0) + name + struct.pack('>HH', 1, 1), ('127.0.0.1', 53))
    return server.recv(4096)[3] & 15
print([ask(*labels) for labels in (
    (b'a\nlazaret: ok', b'example'), (b'\x1b[31mred\x1b[0m', b'example'), (b'"quote', b'example'), (b'\xff\xfe', b'example'),
    (b'www.example', b'com'), (b'www', b'example', b'com\0'), (b' www', b'example', b'com'), (b'a' * 63,) * 3,
    (b'*', b'example', b'com'), (b'xn--a', b'example'), (b'%s%n', b'x'), ('\u202egnp.exe'.encode(), b'x'))])
sys.exit(3)
"#;
    let names = NameServer::start(&zone());
    let job = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program);

    let (shown, _) = on_a_terminal(&job);
    let report = runner.report();

    assert_eq!(names.asked(), Vec::<String>::new());
    assert!(shown.starts_with("[3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]\nlazaret: the command exited with 3\n"), "{shown}");
    assert!(shown.chars().all(|shown| shown == '\n' || (!shown.is_control() && shown != '\u{202e}')), "{shown:?}");
    assert!(shown.lines().skip(2).all(|line| line.starts_with("  ")), "{shown}");
    assert!(report.kind() == "exit" && report.refused_hosts().len() < 13, "{:?}", report.refused_hosts());
}

fn too_many_kinds_of_refusals_are_counted(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[]);
    let program = "
import socket
for number in range(300):
    try: socket.getaddrinfo(f'n{number}.example', 80, socket.AF_INET)
    except OSError: pass
    try: socket.create_connection(('10.1.2.3', 1000 + number))
    except OSError: pass
";
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program).run();

    let _printed = ended.printed();
    let kept: u64 = ended.report.at("/network/refused").as_array().expect("refusals").len().try_into().expect("few");
    assert!(kept <= 200, "{kept}");
    assert_eq!(kept + ended.number("/network/refused_dropped"), 600);
}

fn a_terminal_shows_what_was_refused_and_what_failed(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let script = "curl -s http://evil.example/; curl -s http://10.1.2.3/; wget -4 -q -t 1 http://www.example.com/; \
                  curl -s http://gone.example.com/; exit 3";
    let job = reaching(runner, &["www.example.com:80", "gone.example.com:80"]).shell(script);

    let (shown, status) = on_a_terminal(&job);

    assert_eq!(status, Some(3));
    for part in [
        "evil.example",
        "no rule names it",
        "to allow it: [net] allow = [\"10.1.2.3:80\"]",
        &format!("failed: a connection to www.example.com, {V4} port 80: Connection refused"),
        "failed: there is no `gone.example.com`",
    ] {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    }
}

fn a_job_without_a_network_has_no_transcript(runner: &Runner, _: &Internet) {
    let ran = runner.run(&["--", "true"]);

    assert_eq!((ran.report.kind(), &ran.report["network"]), ("ok", &Value::Null));
}

fn the_report_is_of_its_schema(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::http("[::]:80", "here");
    let schema = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/report.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(schema).expect("it is there")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let script = "curl -s http://www.example.com/ http://www.example.com:81/ http://evil.example/; exit 0";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    let errors: Vec<String> = validator.iter_errors(&ended.report.0).map(|error| error.to_string()).collect();
    assert!(errors.is_empty() && !ended.report.connections().is_empty(), "{errors:?} {}", ended.told());
}
