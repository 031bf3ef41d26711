//! A certificate with its key, as a server shows it.

use crate::der;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;

/// A certificate chain and the key that belongs to it. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    ends: Option<i64>,
}

/// Why a pair of files is no identity. The text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The first file has no certificate in PEM form.
    NoCertificate(Box<str>),
    /// The second file has no private key in PEM form.
    NoKey(Box<str>),
    /// The key is of a kind that TLS does not know, or does not belong to the certificate.
    Mismatch(Box<str>),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate(reason) => {
                write!(f, "no certificate in it ({reason}); give a PEM file, own certificate first")
            }
            Self::NoKey(reason) => {
                write!(f, "no private key in it ({reason}); give a PEM file with an unlocked key")
            }
            Self::Mismatch(reason) => {
                write!(f, "the key does not belong to the certificate ({reason})")
            }
        }
    }
}

impl std::error::Error for IdentityError {}

impl Identity {
    /// The identity in two PEM files: the chain with our own certificate first, and its key.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| IdentityError::NoCertificate(words(&error)))?;
        let Some(own) = chain.first() else {
            return Err(IdentityError::NoCertificate("no CERTIFICATE section".into()));
        };
        let ends = der::not_after(own);
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|error| IdentityError::NoKey(words(&error)))?;
        let provider = aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider);
        let key = key.map_err(|error| IdentityError::Mismatch(words(&error)))?;
        Ok(Self { key: Arc::new(key), ends })
    }

    /// When the certificate ends, in seconds since 1970; `None` when it does not say so in a way
    /// that we read.
    pub fn ends(&self) -> Option<i64> {
        self.ends
    }
}

fn words(error: &dyn fmt::Display) -> Box<str> {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["mx.example".to_owned()]);
        let made = made.expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_with_its_own_key_is_an_identity() {
        let (certificate, key) = pair();
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("good");
        assert!(identity.ends().is_some());
    }

    #[test]
    fn files_that_do_not_fit_are_told_apart() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        let from = |certificate: &str, key: &str| {
            Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect_err("bad")
        };
        assert!(matches!(from("", &key), IdentityError::NoCertificate(_)));
        assert!(matches!(from(&certificate, &certificate), IdentityError::NoKey(_)));
        assert!(matches!(from(&certificate, &other), IdentityError::Mismatch(_)));
    }
}
