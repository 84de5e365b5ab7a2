//! The outcome as JUnit XML, in the form that continuous integration reads.

use super::text::reasons;
use super::{Outcome, Run, RunResult};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io;

/// The outcome as a JUnit document: a test case for each file of the corpus.
///
/// # Errors
///
/// None that an in-memory writer has.
pub fn junit(outcome: &Outcome) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let count = |kinds: &[RunResult]| outcome.runs.iter().filter(|run| kinds.contains(&run.result)).count().to_string();
    let failures = count(&[RunResult::Needs, RunResult::FailedUnderPolicy, RunResult::FailedAnyway]);
    let (tests, errors) = (outcome.runs.len().to_string(), count(&[RunResult::Error]));
    let total: u64 = outcome.runs.iter().map(|run| run.wall_us).sum();
    let name = format!("lazaret check {}", clean(&outcome.policy));
    let counts = [("tests", tests.as_str()), ("failures", &failures), ("errors", &errors)];
    let mut suites = BytesStart::new("testsuites");
    counts.iter().for_each(|count| suites.push_attribute(*count));
    xml.write_event(Event::Start(suites))?;
    let mut suite = BytesStart::new("testsuite");
    suite.push_attribute(("name", name.as_str()));
    counts.iter().for_each(|count| suite.push_attribute(*count));
    suite.push_attribute(("time", seconds(total).as_str()));
    xml.write_event(Event::Start(suite))?;
    for run in &outcome.runs {
        case(&mut xml, &clean(&outcome.policy), run)?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
    xml.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut text = xml.into_inner();
    text.push(b'\n');
    Ok(text)
}

fn case(xml: &mut Writer<Vec<u8>>, policy: &str, run: &Run) -> io::Result<()> {
    let mut case = BytesStart::new("testcase");
    case.push_attribute(("name", clean(&run.file).as_str()));
    case.push_attribute(("classname", policy));
    case.push_attribute(("time", seconds(run.wall_us).as_str()));
    let tag = match run.result {
        RunResult::Passed => return xml.write_event(Event::Empty(case)),
        RunResult::Error => "error",
        RunResult::Needs | RunResult::FailedUnderPolicy | RunResult::FailedAnyway => "failure",
    };
    xml.write_event(Event::Start(case))?;
    let lines: Vec<String> = reasons(run).iter().map(|line| clean(line)).collect();
    let mut problem = BytesStart::new(tag);
    problem.push_attribute(("type", run.result.name()));
    problem.push_attribute(("message", lines.first().map_or("", String::as_str)));
    xml.write_event(Event::Start(problem))?;
    xml.write_event(Event::Text(BytesText::new(&lines.join("\n"))))?;
    xml.write_event(Event::End(BytesEnd::new(tag)))?;
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Without characters that XML 1.0 cannot hold, however they are written.
fn clean(text: &str) -> String {
    let is_allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_allowed(c) { c } else { '\u{fffd}' }).collect()
}
