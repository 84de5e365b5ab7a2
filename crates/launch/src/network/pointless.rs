//! Rules that decide nothing.

use crate::error::PlanError;
use lazaret_egress::{Class, RequestRule, Rule, Target, class};
use lazaret_policy::{HostRule, Sourced};

/// Finds a rule that can never permit anything, or whose every case another decides.
///
/// # Errors
///
/// The first such rule, and why.
pub(super) fn check(
    of_hosts: &[&Sourced<HostRule>],
    rules: &[Rule],
    of_requests: &[&Sourced<HostRule>],
    requests: &[RequestRule],
) -> Result<(), PlanError> {
    let pointless = |host: &Sourced<HostRule>, problem: String| {
        let problem = format!("`{}` {problem}", host.rule);
        Err(PlanError::Network { asked_by: host.source.clone(), problem, fix: "take it out: [remove] net = [\"…\"]" })
    };
    let targets = rules.iter().map(|rule| &rule.target).chain(requests.iter().map(|rule| &rule.target));
    for (host, target) in of_hosts.iter().chain(of_requests).zip(targets) {
        if is_metadata(target) {
            return pointless(
                host,
                "can never be met: it is a metadata service's address, which no rule permits".into(),
            );
        }
    }
    for (host, request) in of_requests.iter().zip(requests) {
        if let Some(at) = rules.iter().position(|rule| covers(rule, request)) {
            let by = of_hosts.get(at).map_or("", |by| by.rule.as_str());
            return pointless(host, format!("decides nothing: `{by}` permits every connection to it, unseen"));
        }
    }
    Ok(())
}

fn is_metadata(target: &Target) -> bool {
    match target {
        Target::Range(range) => range.network() == range.broadcast() && class(range.addr()) == Class::Metadata,
        _ => false,
    }
}

/// Whether every connection that `request` is about is permitted by `rule`.
fn covers(rule: &Rule, request: &RequestRule) -> bool {
    if !rule.ports.contain(request.port) {
        return false;
    }
    match (&rule.target, &request.target) {
        (Target::Name(own), Target::Name(other)) | (Target::Below(own), Target::Below(other)) => own == other,
        (Target::Below(own), Target::Name(other)) => other.is_below(own),
        (Target::Range(own), Target::Range(other)) => own.contains(other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_policy::Source;

    fn problem(rules: &[&str]) -> Option<String> {
        let sourced =
            |rule: &&str| Sourced::new(HostRule { rule: (*rule).to_owned(), why: String::new() }, Source::Builder);
        let all: Vec<_> = rules.iter().map(sourced).collect();
        let (of_requests, of_hosts): (Vec<_>, Vec<_>) = all.iter().partition(|host| host.value.is_of_requests());
        let rules: Vec<Rule> = of_hosts.iter().map(|host| host.rule.parse().expect("a rule")).collect();
        let requests: Vec<RequestRule> = of_requests.iter().map(|host| host.rule.parse().expect("a rule")).collect();
        check(&of_hosts, &rules, &of_requests, &requests).err().map(|error| error.to_string())
    }

    #[test]
    fn a_rule_on_requests_that_a_rule_on_connections_covers_is_told() {
        for rules in [
            ["a.example:443", "GET https://a.example/v1/*"],
            ["*.example:1-1000", "GET https://a.example/v1/*"],
            ["10.0.0.0/8:80", "* http://10.1.2.3/"],
        ] {
            assert!(problem(&rules).is_some_and(|problem| problem.contains(rules[0])), "{rules:?}");
        }
    }

    #[test]
    fn rules_beside_each_other_are_good() {
        assert_eq!(problem(&["a.example:80", "GET https://a.example/v1/*", "b.example:443"]), None);
    }

    #[test]
    fn a_metadata_services_address_is_told() {
        assert!(problem(&["169.254.169.254:80"]).is_some_and(|problem| problem.contains("never")));
    }
}
