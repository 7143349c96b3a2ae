//! Files with certificates and keys (PEM).

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The reason why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemError {
    #[error("cannot read `{0}`")]
    File(PathBuf, #[source] pem::Error),
    #[error("`{0}` holds no certificate")]
    Empty(PathBuf),
}

/// Reads all certificates of a file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let unreadable = |error| PemError::File(file.to_owned(), error);
    let found = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(unreadable)?;
    if found.is_empty() { Err(PemError::Empty(file.to_owned())) } else { Ok(found) }
}

/// Reads the private key of a file.
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| PemError::File(file.to_owned(), error))
}
