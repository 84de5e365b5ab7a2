//! Lazaret for C and C++: `include/lazaret.h` says what each function does.
//!
//! Nothing unwinds over the border: a panic becomes `LAZARET_FAILED`, where panics do not abort.

mod load;
mod text;

use lazaret_policy::Policy;
use lazaret_seccomp::lockdown::{self, Findings, LockdownError, LockdownReport};
use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use text::ErrorText;

const OK: c_int = 0;
const BAD_ARGUMENT: c_int = 1;
const BAD_POLICY: c_int = 2;
const UNMET: c_int = 3;
const FINDINGS: c_int = 4;
const ALREADY: c_int = 5;
const PARTIAL: c_int = 6;
const FAILED: c_int = 7;

const STRICT: c_uint = 1;

/// Why a function did not do what it was asked: its answer and its text.
struct Failure {
    answer: c_int,
    text: String,
}

impl Failure {
    fn new(answer: c_int, text: impl Into<String>) -> Self {
        Self { answer, text: text.into() }
    }
}

impl From<LockdownError> for Failure {
    fn from(error: LockdownError) -> Self {
        let answer = match &error {
            LockdownError::Tier { .. }
            | LockdownError::Filter { .. }
            | LockdownError::Needed { .. }
            | LockdownError::Path { .. } => BAD_POLICY,
            LockdownError::Unmet(_) => UNMET,
            LockdownError::Findings(_) => FINDINGS,
            LockdownError::Already { .. } => ALREADY,
            LockdownError::Partial { .. } => PARTIAL,
            _ => FAILED,
        };
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            text = format!("{text}: {source}");
            cause = source.source();
        }
        Self { answer, text: format!("{text}\nhint: {}", error.hint()) }
    }
}

/// What the last lockdown established. Every one that there was is kept, as callers may hold its text.
static REPORTS: Mutex<Vec<CString>> = Mutex::new(Vec::new());

/// See `lazaret.h`.
///
/// # Safety
///
/// `policy` is null or a terminated string; `error` is null or has room for `error_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazaret_lockdown(
    policy: *const c_char,
    flags: c_uint,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let policy = unsafe { argument(policy) };
    // SAFETY: the caller's promise.
    let error = unsafe { ErrorText::new(error, error_size) };
    run(error, || lock(&load::named(policy?)?, flags))
}

/// See `lazaret.h`.
#[unsafe(no_mangle)]
pub extern "C" fn lazaret_input_complete() -> c_int {
    c_int::from(lazaret_seccomp::input_complete())
}

/// See `lazaret.h`.
#[unsafe(no_mangle)]
pub extern "C" fn lazaret_work_begins() -> c_int {
    c_int::from(lazaret_seccomp::work_begins())
}

/// See `lazaret.h`.
///
/// # Safety
///
/// As for [`lazaret_lockdown`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazaret_lockdown_text(
    toml: *const c_char,
    flags: c_uint,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let toml = unsafe { argument(toml) };
    // SAFETY: the caller's promise.
    let error = unsafe { ErrorText::new(error, error_size) };
    run(error, || lock(&load::text(toml?)?, flags))
}

/// See `lazaret.h`.
///
/// # Safety
///
/// As for [`lazaret_lockdown`]; `json` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazaret_preflight(
    policy: *const c_char,
    json: *mut *mut c_char,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let policy = unsafe { argument(policy) };
    // SAFETY: the caller's promise.
    let error = unsafe { ErrorText::new(error, error_size) };
    // SAFETY: the caller's promise.
    let json = unsafe { json.as_mut() };
    run(error, || tell(json, || load::named(policy?)))
}

/// See `lazaret.h`.
///
/// # Safety
///
/// As for [`lazaret_preflight`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazaret_preflight_text(
    toml: *const c_char,
    json: *mut *mut c_char,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let toml = unsafe { argument(toml) };
    // SAFETY: the caller's promise.
    let error = unsafe { ErrorText::new(error, error_size) };
    // SAFETY: the caller's promise.
    let json = unsafe { json.as_mut() };
    run(error, || tell(json, || load::text(toml?)))
}

/// See `lazaret.h`.
#[unsafe(no_mangle)]
pub extern "C" fn lazaret_report() -> *const c_char {
    let reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    // The text itself does not move, nor go, when the list grows.
    reports.last().map_or(std::ptr::null(), |report| report.as_ptr())
}

/// See `lazaret.h`.
///
/// # Safety
///
/// `json` is null, or was made by `lazaret_preflight` and not given back before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazaret_free(json: *mut c_char) {
    if !json.is_null() {
        // SAFETY: the caller's promise: it is what `CString::into_raw` gave.
        drop(unsafe { CString::from_raw(json) });
    }
}

/// See `lazaret.h`.
#[unsafe(no_mangle)]
pub extern "C" fn lazaret_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no null byte"),
    };
    VERSION.as_ptr()
}

/// A string that came in.
///
/// # Safety
///
/// `text` is null or a terminated string that lives for `'a`.
unsafe fn argument<'a>(text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::new(BAD_ARGUMENT, "the policy is a null pointer"));
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    match text.to_str() {
        Ok("") => Err(Failure::new(BAD_ARGUMENT, "the policy is empty")),
        Ok(text) => Ok(text),
        Err(problem) => Err(Failure::new(BAD_ARGUMENT, format!("the policy is not UTF-8: {problem}"))),
    }
}

/// Does `what`, whatever happens in it, and says how it went.
fn run(mut error: ErrorText, what: impl FnOnce() -> Result<(), Failure>) -> c_int {
    error.put("");
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(())) => OK,
        Ok(Err(failure)) => {
            error.put(&failure.text);
            failure.answer
        }
        Err(_panic) => {
            error.put("a defect of the library: it panicked");
            FAILED
        }
    }
}

fn lock(policy: &Policy, flags: c_uint) -> Result<(), Failure> {
    let findings = match flags {
        0 => Findings::Report,
        STRICT => Findings::Strict,
        _ => return Err(Failure::new(BAD_ARGUMENT, format!("there is no flag {flags:#x}"))),
    };
    // Written before: a policy may leave a process that can allocate no more.
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    reports.reserve(1);
    let mut text = None;
    lockdown::lockdown_told(policy, findings, |report| text = json(report).ok())?;
    reports.extend(text);
    Ok(())
}

fn tell(to: Option<&mut *mut c_char>, policy: impl FnOnce() -> Result<Policy, Failure>) -> Result<(), Failure> {
    let to = to.ok_or_else(|| Failure::new(BAD_ARGUMENT, "the place for the answer is a null pointer"))?;
    *to = std::ptr::null_mut();
    *to = json(&lockdown::preflight(&policy()?)?)?.into_raw();
    Ok(())
}

fn json(report: &LockdownReport) -> Result<CString, Failure> {
    let failed = |problem: &dyn std::fmt::Display| Failure::new(FAILED, format!("cannot write the report: {problem}"));
    let text = serde_json::to_string(report).map_err(|problem| failed(&problem))?;
    // JSON writes a null byte as \u0000.
    CString::new(text).map_err(|problem| failed(&problem))
}
