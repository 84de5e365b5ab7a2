use serde_json::Value;
use std::ops::Index;

/// A report as its JSON form says it. What is not there reads as null.
#[derive(Debug, Clone, Default)]
pub struct Report(pub Value);

impl Report {
    /// The value at a JSON pointer.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The verdict's `kind`; empty when there is no report.
    pub fn kind(&self) -> &str {
        self["verdict"]["kind"].as_str().unwrap_or_default()
    }

    /// The keys of the limits that were reached.
    pub fn limits_hit(&self) -> Vec<&str> {
        let limits = self["limits_hit"].as_array();
        limits.into_iter().flatten().filter_map(|limit| limit["key"].as_str()).collect()
    }

    /// The system calls that were refused, for people and for comparing: `socket(0x1, …) ×2`.
    pub fn refusals(&self) -> Vec<String> {
        let refusals = self["refusals"].as_array();
        refusals.into_iter().flatten().map(refusal).collect()
    }

    /// The names of the calls that were refused, sorted, each once.
    pub fn refused(&self) -> Vec<&str> {
        let refusals = self["refusals"].as_array();
        let mut names: Vec<&str> =
            refusals.into_iter().flatten().filter_map(|refusal| refusal["call"].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether `layer` held: `yes`, `no`, `partly`; empty when it was not asked for.
    pub fn holding(&self, layer: &str) -> &str {
        let controls = self["enforcement"].as_array();
        let control = controls.into_iter().flatten().find(|control| control["layer"] == layer);
        control.and_then(|control| control["holding"].as_str()).unwrap_or_default()
    }
}

impl Index<&str> for Report {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        &self.0[key]
    }
}

fn refusal(refusal: &Value) -> String {
    let arguments: Vec<String> =
        refusal["args"].as_array().into_iter().flatten().filter_map(Value::as_u64).map(|a| format!("{a:#x}")).collect();
    format!("{}({}) ×{}", refusal["call"].as_str().unwrap_or("?"), arguments.join(", "), refusal["count"])
}
