//! The name that programs linked to the shared library look for, with the version of its binary interface.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,liblazaret.so.0");
}
