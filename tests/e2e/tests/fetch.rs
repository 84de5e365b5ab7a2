//! Files that Lazaret fetches before the job, which has no network itself.

#[path = "fetch/answers.rs"]
mod answers;
#[path = "fetch/arrival.rs"]
mod arrival;
#[path = "fetch/policies.rs"]
mod policies;

#[path = "verdicts/job.rs"]
mod job;
#[path = "requests/web.rs"]
mod web;

use job::Job;
use lazaret_e2e::{NameServer, Runner};

/// The text of a policy that asks the test's name server, with `net` in its `[net]`, and goes on with `more`.
fn policy(net: &str, more: &str) -> String {
    format!("extends = \"default\"\n[net]\nname-servers = [{:?}]\n{net}\n{more}", NameServer::ADDRESS)
}

/// A `[[fetch]]` of `url` as `file`, with `more` in it.
fn entry(url: &str, more: &str) -> String {
    format!("[[fetch]]\nurl = {url:?}\nto = \"file\"\nmax-bytes = \"1MiB\"\n{more}\n")
}

/// A job that reads what was fetched from `url`.
fn fetching<'a>(runner: &'a Runner, url: &str, more: &str) -> Job<'a> {
    job::job(runner).policy(&policy("", &entry(url, more))).shell("cat file")
}
