//! Files, devices, descriptors and outputs.

use crate::probe::Effect::{Changed, Claimed, Cut, Made, OutputBlocks, OutputLeaks, SecretShown};
use crate::probe::{Fate, Need, Probe, Scene, Streams};

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("read-host-file", "read a file of the host that everybody may read")
        .args(&["{secret-file}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("read-host-file", "read a file that only the jail's caller may read")
        .args(&["{private-file}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("list-host-files", "find a file of the host by listing directories")
        .args(&["/", "{name}"])
        .control_args(&["{dir}", "{name}"]),
    Probe::new("read-shadow", "read the host's password hashes"),
    Probe::new("write-host-file", "write to a file of the host that everybody may write")
        .args(&["{target}", "changed"])
        .shows(&[Claimed, Changed("{target}")]),
    Probe::new("make-host-file", "make a file where everybody may")
        .args(&["made", "{dir}"])
        .shows(&[Claimed, Made("{dir}/made")]),
    Probe::new("make-host-file", "make a file among the system's programs and settings")
        .args(&["{name}", "/usr", "/usr/local", "/usr/bin", "/etc", "/lib", "/bin", "/opt", "/opt/lazaret-escape", "/"])
        .shows(&[Claimed])
        .control_within("mount,tmpfs=/usr/local")
        .control_args(&["{name}", "/usr/local"]),
    Probe::new("open-by-handle", "open a file of the host by its handle")
        .args(&["{handle}"])
        .shows(&[Claimed, SecretShown])
        .control_args(&["{handle}", "{dir}"])
        .control_needs(&[Need::OneFileSystem]),
    Probe::new("make-device", "make and read a device node").control_args(&["{dir}"]),
    Probe::new("host-devices", "open the machine's devices"),
    Probe::new("watch-file-system", "hear of all files that are opened").absent_by(&["ENOSYS"]),
    Probe::new("replace-own-program", "overwrite the program that it was started from")
        .args(&["changed"])
        .shows(&[Claimed, Changed("{copy}")]),
    Probe::new("leaked-directory", "leave the jail by a directory that its caller left open")
        .args(&["{secret-file}"])
        .around("leak-directory=/")
        .shows(&[Claimed, SecretShown]),
    Probe::new("leaked-file", "write to a file that its caller left open")
        .args(&["changed"])
        .around("leak-file={target}")
        .shows(&[Claimed, Changed("{target}")]),
    Probe::new("leaked-socket", "receive a descriptor on a socket that its caller left open")
        .around("leak-socket={secret-file}")
        .shows(&[Claimed, SecretShown]),
    Probe::new("any-descriptor", "find anything open beside its three standard descriptors").around("leak-directory=/"),
    Probe::new("reopen-input", "write to the file that it reads as standard input")
        .args(&["changed"])
        .options(&["--stdin"])
        .streams(Streams::InputFile)
        .shows(&[Claimed, Changed("{target}")]),
    Probe::new("cut-output", "cut off what stands in the file that is its standard output")
        .streams(Streams::OutputFile)
        .shows(&[Cut("{target}")]),
    Probe::new("output-link", "have a file of the host taken as its output by a link")
        .args(&["{secret-file}"])
        .scene(Scene::Output)
        .verdict(&["output-missing"])
        .shows(&[OutputLeaks]),
    Probe::new("output-link", "have a private file of its caller taken as its output by a link")
        .args(&["{private-file}"])
        .scene(Scene::Output)
        .verdict(&["output-missing"])
        .shows(&[OutputLeaks]),
    Probe::new("output-race", "have a file of the host taken as its output by a link that comes and goes")
        .args(&["{secret-file}"])
        .scene(Scene::Output)
        .verdict(&["output-missing", "ok", "exit"])
        .shows(&[OutputLeaks]),
    Probe::new("output-hard-link", "have another name of a file taken as its output")
        .args(&["{secret-file}"])
        .scene(Scene::Output)
        .fate(Fate::Blocked)
        .shows(&[OutputLeaks]),
    Probe::new("output-pipe", "make its caller wait for ever by an output that is a pipe")
        .scene(Scene::Output)
        .verdict(&["output-missing"])
        .shows(&[OutputBlocks]),
    Probe::new("output-socket", "have a socket taken as its output")
        .scene(Scene::Output)
        .verdict(&["output-missing"])
        .cannot_be_shown("opening a socket file fails for everybody"),
];
