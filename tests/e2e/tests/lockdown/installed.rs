//! Header and libraries agree.

use crate::{compile, prefix, repository};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(prefix().join("include/lazaret.h")).expect("it is installed");
    // Declarations begin a line; comments do not.
    let lines = header.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let name = |line: &str| {
        let start = line.find("lazaret_")?;
        let length = line[start..].find('(')?;
        Some(line[start..start + length].to_owned())
    };
    lines.filter_map(name).collect()
}

/// What `nm` with `args` says that `library` defines with the library's prefix.
fn defined(args: &[&str], library: &Path) -> BTreeSet<String> {
    let answer = Command::new("nm").args(args).arg(library).output().expect("nm is there");
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let names = text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.1));
    names.filter(|name| name.starts_with("lazaret")).map(str::to_owned).collect()
}

#[test]
fn header_shared_and_static_library_have_the_same_functions_and_no_others() {
    let declared = declared();

    let shared = defined(&["-D", "--defined-only"], &prefix().join("lib/liblazaret.so"));
    let archive = defined(&["-g", "--defined-only"], &prefix().join("lib/liblazaret.a"));

    assert!(declared.len() >= 7, "{declared:?}");
    assert_eq!(declared, shared);
    assert_eq!(declared, archive);
}

#[test]
fn the_shared_library_has_a_name_with_the_version_of_its_interface_and_exports_nothing_else() {
    let library = prefix().join("lib/liblazaret.so");

    let dynamic = Command::new("readelf").arg("-d").arg(&library).output().expect("readelf is there");
    let symbols = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().expect("nm is there");

    let dynamic = String::from_utf8_lossy(&dynamic.stdout).into_owned();
    assert!(dynamic.contains("Library soname: [liblazaret.so.0]"), "{dynamic}");
    let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
    assert!(symbols.lines().all(|line| line.contains(" lazaret_")), "{symbols}");
}

#[test]
fn the_header_is_c89_and_cpp98_and_is_the_version_of_the_library() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let source = directory.path().join("version.c");
    let text = "#include <lazaret.h>\n#include <stdio.h>\nint main(void)\n{\n    printf(\"%d.%d.%d %s\\n\", \
                LAZARET_VERSION_MAJOR, LAZARET_VERSION_MINOR, LAZARET_VERSION_PATCH, lazaret_version());\n    return 0;\n}\n";
    fs::write(&source, text).expect("a file can be written");
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic-errors"];
    let (c, cpp) = (directory.path().join("c"), directory.path().join("cpp"));

    compile("gcc", &[&["-std=c89"], &strict[..]].concat(), &source, &c, true);
    compile("g++", &[&["-std=c++98", "-x", "c++"], &strict[..]].concat(), &source, &cpp, false);

    for program in [c, cpp] {
        let ran = Command::new(program).env("LD_LIBRARY_PATH", prefix().join("lib")).output().expect("it runs");
        let version = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
        let (header, library) = version.split_once(' ').expect("two versions");
        assert_eq!(header, library);
    }
}

#[test]
fn the_constants_of_the_header_are_those_of_the_library() {
    let header = fs::read_to_string(repository().join("crates/capi/include/lazaret.h")).expect("it is there");
    let library = fs::read_to_string(repository().join("crates/capi/src/lib.rs")).expect("it is there");
    let of_header = header.lines().filter_map(|line| line.strip_prefix("#define LAZARET_")?.split_once(' '));
    let of_library: BTreeSet<(String, String)> = library
        .lines()
        .filter_map(|line| line.strip_prefix("const ")?.strip_suffix(';')?.split_once(" = "))
        .filter_map(|(name, value)| Some((name.split_once(": c_")?.0.to_owned(), value.to_owned())))
        .collect();

    let answers: BTreeSet<(String, String)> = of_header
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('u').to_owned()))
        .filter(|(name, _)| !name.starts_with("VERSION") && name != "ERROR_SIZE")
        .collect();

    assert_eq!(answers.len(), 9, "{answers:?}");
    assert_eq!(answers, of_library);
}
