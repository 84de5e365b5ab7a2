//! What the tests of the network share: jobs with a network, and what their reports say of it.

use crate::job::{Ended, Job, job};
use lazaret_e2e::{NameServer, Report, Runner, Says};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Addresses of hosts of the Internet, which are the test's in an `Internet`.
pub(crate) const V4: &str = "93.184.216.34";
pub(crate) const V6: &str = "2a00:1450:4001::93";

/// A name server's zone with a host of both kinds of addresses.
pub(crate) fn zone() -> [(&'static str, Says); 1] {
    [("www.example.com", Says::at(&[V4, V6]))]
}

/// The text of a policy that permits `allow`, asks the test's name server, and goes on with `more`.
pub(crate) fn policy(allow: &[&str], more: &str) -> String {
    format!("extends = \"default\"\n[net]\nallow = {allow:?}\nname-servers = [{:?}]\n{more}", NameServer::ADDRESS)
}

/// [`policy`] on another base, whose jobs see the host's directory `shown`.
pub(crate) fn policy_on(base: &str, allow: &[&str], shown: &Path) -> String {
    policy(allow, &format!("[files]\nread = [{shown:?}]\n")).replacen("default", base, 1)
}

/// A job that may reach `allow`.
pub(crate) fn reaching<'a>(runner: &'a Runner, allow: &[&str]) -> Job<'a> {
    job(runner).policy(&policy(allow, ""))
}

/// A Python program as the command: no file of this host's Python but the distribution's.
pub(crate) const PYTHON: [&str; 3] = ["/usr/bin/python3", "-I", "-c"];

/// What a job's report says of its network.
pub(crate) trait Told {
    /// Each connection: `www.example.com 93.184.216.34:80 connected`.
    fn connections(&self) -> Vec<String>;
    /// Each refusal: `resolve evil.example: no rule names it ×1`.
    fn refused_hosts(&self) -> Vec<String>;
    /// The names that it was told of: `www.example.com 93.184.216.34,2a00:1450:4001::93`.
    fn names(&self) -> Vec<String>;
}

impl Told for Report {
    fn connections(&self) -> Vec<String> {
        let connections = self.at("/network/connections").as_array();
        let text = |value: &serde_json::Value| {
            let (name, error) = (value["name"].as_str().unwrap_or("-"), value["error"].as_str().unwrap_or_default());
            let (address, port) = (value["address"].as_str().unwrap_or("?"), &value["port"]);
            let outcome = value["outcome"].as_str().unwrap_or("?");
            format!("{name} {address}:{port} {outcome} {error}").trim_end().to_owned()
        };
        connections.into_iter().flatten().map(text).collect()
    }

    fn refused_hosts(&self) -> Vec<String> {
        let refused = self.at("/network/refused").as_array();
        let text = |value: &serde_json::Value| {
            let part = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            let port = value["port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
            let host = [part("name"), part("address") + &port].join(" ");
            format!("{} {}: {} ×{}", part("act"), host.trim(), part("reason"), value["count"])
        };
        refused.into_iter().flatten().map(text).collect()
    }

    fn names(&self) -> Vec<String> {
        let names = self.at("/network/names").as_array();
        let text = |value: &serde_json::Value| {
            let addresses = value["addresses"].as_array();
            let addresses: Vec<&str> = addresses.into_iter().flatten().filter_map(|address| address.as_str()).collect();
            let told = format!("{} {}", value["name"].as_str().unwrap_or("?"), addresses.join(","));
            format!("{told} {}", value["error"].as_str().unwrap_or_default()).trim_end().to_owned()
        };
        names.into_iter().flatten().map(text).collect()
    }
}

impl Ended<'_> {
    /// Asserts success, and returns what the job printed.
    #[track_caller]
    pub(crate) fn printed(&self) -> String {
        assert_eq!((self.kind(), self.status.code()), ("ok", Some(0)), "{}", self.told());
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// All that helps to see why a test failed.
    pub(crate) fn told(&self) -> String {
        format!(
            "{}\n{}\nverdict {}\nrefusals {:?}\nnetwork {:#}",
            String::from_utf8_lossy(&self.stdout),
            self.stderr,
            self.report["verdict"],
            self.report.refusals(),
            self.report["network"]
        )
    }
}

/// Everything that a terminal shows when `job` is run on it, and the exit status.
pub(crate) fn on_a_terminal(job: &Job<'_>) -> (String, Option<i32>) {
    let quote = |word: &OsString| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
    let quoted: Vec<String> = job.words().iter().map(quote).collect();
    // script(1) starts the command on a new terminal, and copies what is shown there.
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &quoted.join(" "), "/dev/null"]).current_dir(job.runner.work()).env("SHELL", "/bin/sh");
    let output = terminal.stdin(Stdio::null()).output().expect("script(1) of util-linux or bsdutils");
    (String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"), output.status.code())
}
