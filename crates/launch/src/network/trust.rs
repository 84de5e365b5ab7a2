//! Whom a job believes whose requests are looked at, and whom Lazaret believes for it.

use lazaret_broker::net::Speaker;
use lazaret_connector::{Authority, Trust};
use lazaret_egress::RequestRule;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file in the job's directory that holds the certificates of the authorities that it believes.
pub const NAME: &str = ".lazaret-certificates.pem";

/// The variables by which programs are told of such a file: OpenSSL and Go, curl, Python's requests and pip, Node, git, the
/// clients of a cloud's, cargo, Deno, gRPC, Nix.
const VARIABLES: [&str; 11] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "DENO_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
];

/// Where distributions have all certificates of authorities in one file: Debian and Ubuntu, Fedora, openSUSE, Alpine.
pub const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The environment variables that name the file, in the directory `job`.
pub(crate) fn variables(job: &Path) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let file = job.join(NAME);
    VARIABLES.into_iter().map(move |name| (name, file.clone()))
}

/// The files of the host's certificates of authorities, and `more`.
pub(crate) fn authorities(more: &[PathBuf]) -> Vec<PathBuf> {
    let host = BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    host.into_iter().chain(more.iter().cloned()).collect()
}

/// Makes an authority for one job and its rules, and says whom it believes: the host's authorities, those of the files
/// `more`, and its own.
pub(super) fn make(
    requests: &[RequestRule],
    more: &[PathBuf],
    lifetime: Duration,
) -> Result<(Speaker, Vec<u8>), Box<dyn Error + Send + Sync>> {
    let files = authorities(more);
    let trust = Trust::of_files(&files)?;
    // It may last a little longer than its job, which a slow launch makes late.
    let authority = Authority::new(requests, lifetime + Duration::from_secs(3600))?;
    let mut certificates = Vec::new();
    for file in &files {
        certificates.extend(std::fs::read(file)?);
        certificates.push(b'\n');
    }
    certificates.extend_from_slice(authority.pem().as_bytes());
    Ok((Speaker { authority, trust }, certificates))
}
