//! TLSA records and whether a chain matches them (RFC 6698, RFC 7671, RFC 7672). Pure but for the
//! chain check, which is webpki's.

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;

/// Which certificate of the chain a record is about (RFC 7671 §5). The usages that also want a
/// public authority (0 and 1) are not used with SMTP (RFC 7672 §3.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// 2: an authority of the domain's own.
    TrustAnchor,
    /// 3: the server's certificate itself; names and dates do not matter.
    EndEntity,
}

/// What of the certificate is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// 0: all of it.
    Certificate,
    /// 1: its public key.
    PublicKey,
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// 0: as it is.
    Full,
    /// 1: by SHA-256.
    Sha256,
    /// 2: by SHA-512.
    Sha512,
}

/// A TLSA record that SMTP can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// Which certificate.
    pub usage: Usage,
    /// What of it.
    pub selector: Selector,
    /// How.
    pub matching: Matching,
    /// What it must be.
    pub data: Box<[u8]>,
}

impl Tlsa {
    /// The record with these numbers and data; `None` when SMTP cannot use it.
    pub fn new(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Option<Self> {
        let usage = match usage {
            2 => Usage::TrustAnchor,
            3 => Usage::EndEntity,
            _ => return None,
        };
        let selector = match selector {
            0 => Selector::Certificate,
            1 => Selector::PublicKey,
            _ => return None,
        };
        let (matching, length) = match matching {
            0 => (Matching::Full, data.len()),
            1 => (Matching::Sha256, 32),
            2 => (Matching::Sha512, 64),
            _ => return None,
        };
        let fits = data.len() == length && !data.is_empty();
        fits.then(|| Self { usage, selector, matching, data: data.into() })
    }

    /// Whether `certificate` is what the record says.
    pub(crate) fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            Selector::Certificate => certificate.to_vec(),
            Selector::PublicKey => match webpki::EndEntityCert::try_from(certificate) {
                Ok(parsed) => parsed.subject_public_key_info().to_vec(),
                Err(_) => return false,
            },
        };
        match self.matching {
            Matching::Full => *selected == *self.data,
            Matching::Sha256 => digest::digest(&digest::SHA256, &selected).as_ref() == &*self.data,
            Matching::Sha512 => digest::digest(&digest::SHA512, &selected).as_ref() == &*self.data,
        }
    }

    /// The whole certificate of an authority, when the record carries it.
    pub(crate) fn carried(&self) -> Option<CertificateDer<'_>> {
        let whole = self.selector == Selector::Certificate && self.matching == Matching::Full;
        whole.then(|| CertificateDer::from(&*self.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_smtp_cannot_use_are_left_out() {
        assert!(Tlsa::new(3, 1, 1, &[0; 32]).is_some());
        assert!(Tlsa::new(2, 0, 2, &[0; 64]).is_some());
        for (usage, selector, matching, length) in [
            (0, 1, 1, 32),
            (1, 0, 1, 32),
            (3, 2, 1, 32),
            (3, 1, 3, 32),
            (3, 1, 1, 31),
            (3, 1, 0, 0),
        ] {
            assert_eq!(Tlsa::new(usage, selector, matching, &vec![0; length]), None);
        }
    }

    #[test]
    fn a_certificate_matches_by_itself_and_by_its_key() {
        let made = rcgen::generate_simple_self_signed(vec!["mx.example".to_owned()]);
        let made = made.expect("a certificate");
        let certificate = made.cert.der();
        let key = webpki::EndEntityCert::try_from(certificate).expect("parses");
        let key = key.subject_public_key_info();
        let sha256 = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes).as_ref().to_vec();
        let record = |selector, matching, data: &[u8]| {
            Tlsa::new(3, selector, matching, data).expect("usable").matches(certificate)
        };
        assert!(record(0, 0, certificate));
        assert!(record(0, 1, &sha256(certificate)));
        assert!(record(1, 1, &sha256(&key)));
        assert!(!record(1, 1, &sha256(certificate)));
    }
}
