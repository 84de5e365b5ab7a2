//! Whom outside a connector believes.

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The authorities that servers outside are believed by. The default believes nobody.
///
/// Nothing is read but the given files: no environment variable and no store of the system's.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: RootCertStore,
}

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file of them cannot be read.
    #[error("cannot read the certificates in `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is none in it that can be used.
    #[error("there is no certificate of an authority in {whence}")]
    None {
        /// In what.
        whence: String,
    },
}

impl Default for Trust {
    fn default() -> Self {
        Self { roots: RootCertStore::empty() }
    }
}

impl Trust {
    /// The authorities whose certificates are in these files, as PEM, such as `/etc/ssl/certs/ca-certificates.crt`.
    /// Certificates that cannot be read are passed over, as long as a file has others.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or has none.
    pub fn of_files(paths: &[PathBuf]) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        for path in paths {
            let pem = std::fs::read(path).map_err(|source| TrustError::Read { path: path.clone(), source })?;
            trust.add(&pem, || format!("`{}`", path.display()))?;
        }
        Ok(trust)
    }

    /// These authorities too.
    ///
    /// # Errors
    ///
    /// When there is none in `pem`.
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, TrustError> {
        self.add(pem, || "the given text".to_owned())?;
        Ok(self)
    }

    fn add(&mut self, pem: &[u8], whence: impl Fn() -> String) -> Result<(), TrustError> {
        let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        let (added, _passed_over) = self.roots.add_parsable_certificates(certificates);
        if added == 0 { Err(TrustError::None { whence: whence() }) } else { Ok(()) }
    }

    /// How servers are spoken to, with the protocols `alpn` on offer.
    pub(crate) fn client(&self, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}
