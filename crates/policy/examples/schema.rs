//! Prints the JSON Schema of the report: `cargo run -p lazaret-policy --example schema > schema/report.json`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", lazaret_policy::Report::json_schema_text());
}
