//! Programs as they are, which find the certificates where they look.

use crate::job::{Job, job};
use crate::stage::{PYTHON, V4, policy};
use crate::web::{Answer, Authority, Web, Worth};
use lazaret_e2e::{Internet, NameServer, Runner, Says, as_root_and_user_in_an_internet, installed};

as_root_and_user_in_an_internet![
    curl_makes_the_requests_that_a_rule_permits,
    curl_does_so_by_http_2,
    a_refusal_arrives_whatever_the_request_carries,
    wget_finds_the_certificates_in_the_systems_bundle,
    python_finds_the_certificates,
    node_finds_the_certificates,
    git_clones_what_a_rule_permits,
    a_program_that_is_given_the_systems_bundle_by_name_reads_ours,
];

/// The permitted host, its name server, and a server of its own that says its target.
struct Site {
    _names: NameServer,
    web: Web,
    trust: String,
}

fn site(runner: &Runner, respond: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Site {
    let names = NameServer::start(&[("api.example.com", Says::at(&[V4]))]);
    let authority = Authority::new();
    let trust = authority.trusted(runner);
    let web = Web::https("[::]:443", (&authority, &["api.example.com"], Worth::Good), respond);
    Site { _names: names, web, trust }
}

fn reaching<'a>(runner: &'a Runner, site: &Site, allow: &[&str]) -> Job<'a> {
    job(runner).policy(&policy(allow, &site.trust))
}

const RULE: &str = "GET https://api.example.com/v1/*";

fn curl_makes_the_requests_that_a_rule_permits(runner: &Runner, _: &Internet) {
    let site = site(runner, |target| Answer::of(format!("here is {target}\n")));
    let script = "curl -sS https://api.example.com/v1/a https://api.example.com/v1/b/c?d=e; \
                  curl -s -o /dev/null -w '%{http_code}\n' https://api.example.com/v2/a";

    let ended = reaching(runner, &site, &[RULE]).shell(script).run();

    assert_eq!(ended.printed(), "here is /v1/a\nhere is /v1/b/c?d=e\n403\n", "{}", ended.told());
    assert_eq!(site.web.asked(), ["GET /v1/a api.example.com", "GET /v1/b/c?d=e api.example.com"]);
}

fn curl_does_so_by_http_2(runner: &Runner, _: &Internet) {
    let site = site(runner, |target| Answer::of(format!("here is {target}\n")));
    let script = "curl -sS --http2 -w '%{http_version} %{http_code}\n' https://api.example.com/v1/a; \
                  curl -sS --http2 -o /dev/null -w '%{http_version} %{http_code}\n' https://api.example.com/other";

    let ended = reaching(runner, &site, &[RULE]).shell(script).run();

    assert_eq!(ended.printed(), "here is /v1/a\n2 200\n2 403\n", "{}", ended.told());
    assert_eq!(site.web.asked(), ["GET /v1/a api.example.com"]);
}

fn a_refusal_arrives_whatever_the_request_carries(runner: &Runner, _: &Internet) {
    let site = site(runner, |_| Answer::of("here"));
    let script = "head -c 3000000 /dev/zero > large; \
                  for version in --http1.1 --http2; do \
                  for i in 1 2 3 4 5 6 7 8; do \
                  curl $version -s -o /dev/null -w '%{http_code}\n' -X PUT -d x https://api.example.com/v1/a; done; \
                  curl $version -s -I -w '%{http_code}\n' -o /dev/null https://api.example.com/v1/a; \
                  curl $version -s -o /dev/null -w '%{http_code}\n' -T large https://api.example.com/v1/a; done; true";

    let ended = reaching(runner, &site, &[RULE]).shell(script).run();

    assert_eq!(ended.printed(), "403\n".repeat(20), "{}", ended.told());
    assert_eq!(site.web.asked(), Vec::<String>::new());
}

fn wget_finds_the_certificates_in_the_systems_bundle(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/wget", "wget") {
        return;
    }
    let site = site(runner, |_| Answer::of("here\n"));
    // Only the bundle is left to it.
    let script = "env -i PATH=$PATH wget -q -O - https://api.example.com/v1/a; wget -q -O - https://api.example.com/; \
                  echo $?";

    let ended = reaching(runner, &site, &[RULE]).shell(script).run();

    // 8: the server said no.
    assert_eq!(ended.printed(), "here\n8\n", "{}", ended.told());
    assert_eq!(site.web.asked(), ["GET /v1/a api.example.com"]);
}

fn python_finds_the_certificates(runner: &Runner, _: &Internet) {
    let site = site(runner, |_| Answer::of("here"));
    let program = "
import urllib.request, urllib.error
print(urllib.request.urlopen('https://api.example.com/v1/a').read())
try: urllib.request.urlopen('https://api.example.com/v1/a', data=b'x')
except urllib.error.HTTPError as error: print(error.code, error.read())
";
    let ended = reaching(runner, &site, &[RULE]).command(PYTHON).argument(program).run();

    let printed = ended.printed();
    assert!(printed.starts_with("b'here'\n403 b'lazaret: no rule permits "), "{}", ended.told());
    assert_eq!(site.web.asked(), ["GET /v1/a api.example.com"]);
}

fn node_finds_the_certificates(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/node", "nodejs") {
        return;
    }
    let site = site(runner, |_| Answer::of("here"));
    let program = "
        const get = async url => { const answer = await fetch(url); return answer.status + ' ' + await answer.text() };
        (async () => { console.log(await get('https://api.example.com/v1/a'));
                       console.log((await get('https://api.example.com/v2')).slice(0, 12)) })()";
    let policy = policy(&[RULE], &site.trust).replace("\"default\"", "\"node\"");

    let ended = job(runner).policy(&policy).command(["/usr/bin/node", "-e", program]).run();

    assert_eq!(ended.printed(), "200 here\n403 lazaret:\n", "{}", ended.told());
    assert_eq!(site.web.asked(), ["GET /v1/a api.example.com"]);
}

fn git_clones_what_a_rule_permits(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/git", "git") {
        return;
    }
    let made = runner.bare(
        "sh",
        &[
            "-c",
            "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1; /usr/bin/git init -q origin && cd origin && echo content > file && \
             /usr/bin/git add file && /usr/bin/git -c user.name=A -c user.email=a@example.com commit -q -m one && \
             /usr/bin/git update-server-info && cp -r .git ../site.git",
        ],
    );
    assert_eq!(made.status, Some(0), "{made}");
    let root = runner.work();
    let site = site(runner, move |target| {
        let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
        std::fs::read(root.join(path)).map_or_else(|_| Answer::status("404 Not Found"), Answer::of)
    });
    let script = "/usr/bin/git clone -q https://api.example.com/site.git copy && cat copy/file; \
                  /usr/bin/git clone -q https://api.example.com/other.git 2>&1 | grep -o 403";

    let ended = reaching(runner, &site, &["GET https://api.example.com/site.git/*"]).shell(script).run();

    assert_eq!(ended.printed(), "content\n403\n", "{}", ended.told());
}

fn a_program_that_is_given_the_systems_bundle_by_name_reads_ours(runner: &Runner, _: &Internet) {
    let site = site(runner, |_| Answer::of("here\n"));
    let script = "curl -sS --cacert /etc/ssl/certs/ca-certificates.crt https://api.example.com/v1/a; \
                  readlink /etc/ssl/certs/ca-certificates.crt";

    let ended = reaching(runner, &site, &[RULE]).shell(script).run();

    assert_eq!(ended.printed(), "here\n/job/.lazaret-certificates.pem\n", "{}", ended.told());
}
