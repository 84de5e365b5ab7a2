//! Checks of single values that the loader and the builder share.

use std::net::{IpAddr, SocketAddr};
use std::path::{Component, Path, PathBuf};

use crate::job::{FileNameError, is_variable_name};
use crate::layer::UnknownName;
use crate::policy::{Bind, Cow, Device};
use crate::quantity::QuantityError;
use crate::text;

/// What is wrong with a value and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl From<QuantityError> for Fault {
    fn from(error: QuantityError) -> Self {
        Self::new(error.to_string(), error.hint())
    }
}

impl From<UnknownName> for Fault {
    fn from(error: UnknownName) -> Self {
        Self::new(error.to_string(), error.hint())
    }
}

/// Device nodes that every jail has.
const STANDARD_DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// An absolute path without `.`, `..`, a NUL byte or a slash too many.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    let shown = text::escape(bytes);
    if bytes.contains(&0) {
        return Err(Fault::new(format!("`{shown}` holds a NUL byte"), "remove the NUL byte"));
    }
    if path.to_str().is_none() {
        return Err(Fault::new(
            format!("`{shown}` is not UTF-8"),
            "paths in policies are UTF-8; bind the directory above it",
        ));
    }
    if !path.is_absolute() {
        return Err(Fault::new(format!("`{shown}` is not an absolute path"), "write the path from `/` on"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Fault::new(format!("`{shown}` holds `..`"), "write the path without `..`"));
    }
    Ok(path.components().collect())
}

/// A place in the jail where a bind may lie.
fn guest(path: &Path) -> Result<PathBuf, Fault> {
    let path = absolute(path)?;
    let shown = path.display();
    if path == Path::new("/") {
        return Err(Fault::new(
            "nothing can be bound at `/`",
            "set `root` under [files], or name the directories that are needed",
        ));
    }
    for (own, hint) in [
        ("/job", "bind it elsewhere with `at`; files for the job go in as inputs"),
        ("/tmp", "bind it elsewhere with `at`; files for the job go in as inputs"),
        ("/proc", "set `proc` under [files]"),
        ("/dev", "name device nodes under `devices`; for /dev/pts and /dev/shm set `pts` and `shm`"),
    ] {
        if path.starts_with(own) {
            return Err(Fault::new(format!("`{shown}` lies in `{own}`, which is the jail's own"), hint));
        }
    }
    Ok(path)
}

/// A host path to be bound: the host's processes and devices are never bound as files.
fn host(path: &Path) -> Result<PathBuf, Fault> {
    let path = absolute(path)?;
    for (own, hint) in [("/proc", "set `proc` under [files]"), ("/dev", "name device nodes under `devices`")] {
        if path.starts_with(own) {
            return Err(Fault::new(format!("`{}` of the host cannot be bound as files", path.display()), hint));
        }
    }
    Ok(path)
}

/// The bind with its paths checked and normalised.
pub(crate) fn bind(bind: Bind) -> Result<Bind, Fault> {
    let Bind { host: from, guest: at, optional, why } = bind;
    Ok(Bind { host: host(&from)?, guest: guest(&at)?, optional, why })
}

/// The view with its paths checked and normalised.
pub(crate) fn cow(cow: Cow) -> Result<Cow, Fault> {
    let Cow { host: from, guest: at, why } = cow;
    Ok(Cow { host: host(&from)?, guest: guest(&at)?, why })
}

/// The device with its path checked and normalised.
pub(crate) fn device(device: Device) -> Result<Device, Fault> {
    let Device { path, why } = device;
    let path = absolute(&path)?;
    let shown = path.display();
    if !path.starts_with("/dev") || path == Path::new("/dev") {
        return Err(Fault::new(
            format!("`{shown}` does not lie beneath /dev"),
            "name a device node such as `/dev/dri/renderD128`",
        ));
    }
    if STANDARD_DEVICES.iter().any(|standard| Path::new(standard) == path) {
        return Err(Fault::new(format!("`{shown}` is in every jail"), "leave it out"));
    }
    for (own, key) in [("/dev/pts", "pts"), ("/dev/ptmx", "pts"), ("/dev/shm", "shm")] {
        if path.starts_with(own) {
            return Err(Fault::new(
                format!("`{shown}` of the host is not given to jobs"),
                format!("set `{key} = true` under [files]"),
            ));
        }
    }
    Ok(Device { path, why })
}

/// A directory that can be the jail's root.
pub(crate) fn root_directory(path: &Path) -> Result<PathBuf, Fault> {
    let path = absolute(path)?;
    if path == Path::new("/") {
        return Err(Fault::new(
            "the host's own `/` cannot be the jail's root: it holds the host's secrets and sockets",
            "set `root = \"host\"` and name the directories that are needed under `read`",
        ));
    }
    Ok(path)
}

pub(crate) fn variable_name(name: &str) -> Result<(), Fault> {
    if is_variable_name(name) {
        Ok(())
    } else {
        let shown = text::escape(name.as_bytes());
        Err(Fault::new(
            format!("`{shown}` cannot be the name of an environment variable"),
            "names are not empty and hold neither `=` nor NUL",
        ))
    }
}

pub(crate) fn variable_value(name: &str, value: &str) -> Result<(), Fault> {
    if value.contains('\0') {
        return Err(Fault::new(format!("the value of `{name}` holds a NUL byte"), "remove the NUL byte"));
    }
    Ok(())
}

pub(crate) fn host_name(name: &str) -> Result<(), Fault> {
    let good = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if good {
        return Ok(());
    }
    let shown = text::escape(name.as_bytes());
    Err(Fault::new(format!("`{shown}` cannot be a host name"), "use 1 to 64 letters, digits, `-` and `.`"))
}

pub(crate) fn locale(name: &str) -> Result<(), Fault> {
    let good = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'));
    if good {
        return Ok(());
    }
    let shown = text::escape(name.as_bytes());
    Err(Fault::new(format!("`{shown}` cannot be a locale"), "write it as `C.UTF-8` or `de_DE.UTF-8`"))
}

/// A name server: an address, or an address and a port.
pub(crate) fn name_server(text: &str) -> Result<SocketAddr, Fault> {
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    let address = address.or_else(|_with_port| text.parse::<SocketAddr>());
    address.ok().filter(|address| address.port() != 0).ok_or_else(|| {
        Fault::new(
            format!("`{text}` is no name server"),
            "write an address, or one with a port: \"10.0.0.2\", \"[::1]:5353\"",
        )
    })
}

/// The path of a file of the host.
pub(crate) fn absolute_file(text: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(text);
    let good = path.is_absolute() && !text.contains('\0') && path.file_name().is_some();
    if good {
        Ok(path)
    } else {
        Err(Fault::new(format!("`{text}` is no file's path"), "write it from the root on: \"/etc/own-ca.pem\""))
    }
}

impl From<FileNameError> for Fault {
    fn from(error: FileNameError) -> Self {
        Self::new(error.to_string(), "write a plain name, as of a file in one directory")
    }
}
