//! Compiles `src/main.rs` to a static program of a few kilobytes, without any library, that the crate carries as bytes,
//! and `src/start.rs` to a library of the same kind.
//!
//! Cargo has no stable way to let a library contain a program, so this calls the compiler that Cargo itself uses.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let out = PathBuf::from(required("OUT_DIR")).join("init");
    let mut rustc = Command::new(required("RUSTC"));
    rustc
        .args(["--edition", "2024", "--crate-name", "lazaret_init_image", "--crate-type", "bin"])
        .args(["--cfg", "lazaret_init_image", "--target", &required("TARGET")])
        .args(["-C", "opt-level=2", "-C", "panic=abort", "-C", "relocation-model=static"])
        .args(["-C", "strip=symbols", "-C", "force-unwind-tables=no"])
        .args(["-C", "link-arg=-nostdlib", "-C", "link-arg=-nostartfiles", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-Wl,--gc-sections,--build-id=none,--no-eh-frame-hdr,-z,noseparate-code,-z,norelro"])
        .args(["-o".as_ref(), out.as_os_str()])
        .arg("src/main.rs");
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc.status().expect("the compiler that Cargo named can be started");
    assert!(status.success(), "the jail's process 1 did not compile");
    start();
}

/// With tables for unwinding: stacks go through it.
fn start() {
    let out = PathBuf::from(required("OUT_DIR")).join("start");
    let mut rustc = Command::new(required("RUSTC"));
    rustc
        .args(["--edition", "2024", "--crate-name", "lazaret_start", "--crate-type", "cdylib"])
        .args(["--target", &required("TARGET")])
        .args(["-C", "opt-level=2", "-C", "panic=abort", "-C", "codegen-units=1", "-C", "overflow-checks=off"])
        .args(["-C", "strip=symbols", "-C", "force-unwind-tables=yes"])
        .args(["-C", "link-arg=-nostdlib", "-C", "link-arg=-nostartfiles"])
        .args(["-C", "link-arg=-Wl,--gc-sections,--build-id=none,-z,noseparate-code"])
        .args(["-o".as_ref(), out.as_os_str()])
        .arg("src/start.rs");
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc.status().expect("the compiler that Cargo named can be started");
    assert!(status.success(), "the library that tells of a program's start did not compile");
}

fn required(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("Cargo sets {name} for build scripts"))
}
