//! The certificates that servers are verified by.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The root certificates that a guest trusts: a server must prove its name by a certificate that one of them has signed.
#[derive(Clone)]
pub struct TlsRoots(Source);

#[derive(Clone)]
enum Source {
    /// Those that the operating system trusts, read when they are first needed.
    Host,
    Given(Arc<ClientConfig>),
}

/// The cause why a text gives no roots.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoots {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Unreadable(std::io::Error),
    /// The text is not PEM (RFC 7468).
    #[error("not certificates in PEM: {}", words(.0))]
    Malformed(pem::Error),
    /// The text is PEM, but has no `CERTIFICATE`.
    #[error("it has no certificate; in PEM, one begins with -----BEGIN CERTIFICATE-----")]
    Empty,
    /// A certificate is no valid root.
    #[error("certificate {number} is no valid root: {error}")]
    Invalid {
        /// The place of the certificate in the text, from 1.
        number: usize,
        /// What is wrong.
        error: rustls::Error,
    },
}

impl TlsRoots {
    /// The roots that the operating system trusts, or those that the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    /// They are read once per process, at the first connection that needs them.
    #[must_use]
    pub const fn of_the_host() -> Self {
        Self(Source::Host)
    }

    /// The roots in a PEM text, and no others.
    ///
    /// # Errors
    /// See [`InvalidRoots`].
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidRoots> {
        Self::new(CertificateDer::pem_slice_iter(text))
    }

    /// The roots in a PEM file, and no others.
    ///
    /// # Errors
    /// See [`InvalidRoots`].
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, InvalidRoots> {
        Self::from_pem(&std::fs::read(path).map_err(InvalidRoots::Unreadable)?)
    }

    fn new(
        certificates: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
    ) -> Result<Self, InvalidRoots> {
        let mut store = RootCertStore::empty();
        for (index, certificate) in certificates.enumerate() {
            let certificate = certificate.map_err(InvalidRoots::Malformed)?;
            store.add(certificate).map_err(|error| InvalidRoots::Invalid { number: index + 1, error })?;
        }
        if store.is_empty() {
            return Err(InvalidRoots::Empty);
        }
        let config = config(store).map_err(|error| InvalidRoots::Invalid { number: 1, error })?;
        Ok(Self(Source::Given(Arc::new(config))))
    }

    /// How a client connects that trusts these roots.
    ///
    /// # Errors
    /// A message, if the operating system has no roots.
    pub(super) async fn client(&self) -> Result<Arc<ClientConfig>, String> {
        match &self.0 {
            Source::Given(config) => Ok(config.clone()),
            // The files take some milliseconds, for which other tasks should not have to wait.
            Source::Host => {
                tokio::task::spawn_blocking(|| of_the_host().clone()).await.map_err(|error| error.to_string())?
            }
        }
    }
}

impl fmt::Debug for TlsRoots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Source::Host => "TlsRoots(of the host)",
            Source::Given(_) => "TlsRoots(given)",
        })
    }
}

/// What is wrong with a PEM text. The error itself writes lines of the text as lists of numbers.
fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("there is no -----END {}-----", String::from_utf8_lossy(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("this line begins nothing: {:?}", String::from_utf8_lossy(line))
        }
        other => other.to_string(),
    }
}

/// Reads the roots of the operating system, once. Files that cannot be read, and certificates that are no valid roots,
/// are logged and left out, as every program does: the store is not this program's to repair.
fn of_the_host() -> &'static Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("a part of the host's root certificates is left out: {error}");
        }
        let mut store = RootCertStore::empty();
        let (_, ignored) = store.add_parsable_certificates(found.certs);
        if ignored > 0 {
            tracing::debug!("{ignored} of the host's root certificates are not valid");
        }
        if store.is_empty() {
            return Err("this host has no root certificates".into());
        }
        config(store).map(Arc::new).map_err(|error| error.to_string())
    })
}

/// The versions of TLS that rustls holds for safe, with ring's cryptography. The provider is named here, because the one
/// of the process may be another.
fn config(store: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_root_is_refused_with_the_reason() {
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, word) in [
            ("", "has no certificate"),
            ("hello", "has no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has no certificate"),
            ("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", "not certificates in PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "in PEM: there is no -----END CERTIFICATE-----"),
            ("-----BEGIN \nAAAA\n", "in PEM: this line begins nothing: \"-----BEGIN"),
            (no_certificate, "certificate 1 is no valid root"),
        ] {
            let problem = TlsRoots::from_pem(text.as_bytes()).expect_err(text).to_string();
            assert!(problem.contains(word), "{problem}");
        }
        let problem = TlsRoots::from_pem_file("/nonexistent").expect_err("no such file").to_string();
        assert!(problem.starts_with("cannot read it: "), "{problem}");
    }
}
