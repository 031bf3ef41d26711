//! TLS as a client wants it: what it believes of the server it meets.

use crate::MinimumVersion;
use crate::dane::{Tlsa, Usage};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::sync::Arc;

/// What a server must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate: encryption against those who only listen (RFC 7435).
    Any,
    /// A certificate that a public authority has given to one of these names.
    Names(Vec<Box<str>>),
    /// What these records say (RFC 7672); an authority of the domain's own must have given the
    /// certificate to one of the names.
    Dane {
        /// The records, usable ones only.
        records: Vec<Tlsa>,
        /// The names that an authority's certificate may bear: that of the host, and the domain.
        names: Vec<Box<str>>,
    },
}

/// Which key exchanges are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyExchange {
    /// The post-quantum hybrid first; its greeting is over 1.2 KB long, which breaks some servers
    /// and what stands before them.
    #[default]
    Hybrid,
    /// Elliptic curves only.
    Classic,
}

/// What a client needs for one session; it remembers sessions, to resume them.
pub type ClientSetup = Arc<ClientConfig>;

/// What all sessions of a client share: the authorities that it believes.
#[derive(Clone, Debug)]
pub struct ClientTls {
    hybrid: Arc<CryptoProvider>,
    classic: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
}

impl ClientTls {
    /// A client that believes the system's authorities, and what could not be read of them: no
    /// reason to stop, since opportunistic TLS needs none.
    pub fn system() -> (Self, Vec<String>) {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        let mut problems: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        if roots.is_empty() {
            problems.push("no certificate authority was found: `verify` can trust nobody".into());
        }
        (Self::new(roots), problems)
    }

    /// A client that believes these authorities.
    pub fn new(roots: RootCertStore) -> Self {
        let hybrid = aws_lc_rs::default_provider();
        let curves: Vec<&'static dyn SupportedKxGroup> = vec![
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ];
        let classic = CryptoProvider { kx_groups: curves, ..hybrid.clone() };
        Self { hybrid: Arc::new(hybrid), classic: Arc::new(classic), roots: Arc::new(roots) }
    }

    /// The configuration for one destination. Keep it for as long as the trust is the same: it
    /// remembers sessions, and a resumed session is not verified anew, so it must never be shared
    /// between destinations that are trusted differently.
    pub fn config(&self, trust: &Trust, exchange: KeyExchange) -> ClientSetup {
        let provider = match exchange {
            KeyExchange::Hybrid => &self.hybrid,
            KeyExchange::Classic => &self.classic,
        };
        let verifier = Believer {
            trust: trust.clone(),
            provider: Arc::clone(provider),
            public: self.public(provider),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider));
        let builder = builder.with_protocol_versions(MinimumVersion::Tls12.versions());
        let builder = builder.expect("the provider has suites of both versions");
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Arc::new(builder.with_no_client_auth())
    }

    fn public(&self, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(provider));
        WebPkiServerVerifier::builder_with_provider(roots, provider).build().ok()
    }
}

/// Judges a server's certificate by one [`Trust`].
#[derive(Debug)]
struct Believer {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    /// `None` when there is no authority to believe.
    public: Option<Arc<WebPkiServerVerifier>>,
}

/// What a server showed, and when.
struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    now: UnixTime,
}

impl Shown<'_> {
    /// Whether `verifier` takes the chain for one of `names`.
    fn verifies(&self, verifier: &WebPkiServerVerifier, names: &[Box<str>]) -> Result<(), Error> {
        let mut why = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in names {
            let Ok(name) = ServerName::try_from(&**name) else { continue };
            let (end_entity, others) = (self.end_entity, self.intermediates);
            match verifier.verify_server_cert(end_entity, others, &name, &[], self.now) {
                Ok(_) => return Ok(()),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

impl Believer {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        match &self.trust {
            Trust::Any => Ok(()),
            Trust::Names(names) => match &self.public {
                Some(public) => shown.verifies(public, names),
                None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
            },
            Trust::Dane { records, names } => self.judge_by(records, names, shown),
        }
    }

    /// One record that matches is enough (RFC 7671 §5).
    fn judge_by(
        &self,
        records: &[Tlsa],
        names: &[Box<str>],
        shown: &Shown<'_>,
    ) -> Result<(), Error> {
        let mut why = Error::General("no TLSA record matches the certificate".into());
        for record in records {
            match record.usage {
                Usage::EndEntity if record.matches(shown.end_entity) => return Ok(()),
                Usage::EndEntity => {}
                Usage::TrustAnchor => match self.judge_by_anchor(record, names, shown) {
                    Ok(()) => return Ok(()),
                    Err(Some(error)) => why = error,
                    Err(None) => {}
                },
            }
        }
        Err(why)
    }

    /// The chain must lead to an authority that the record names.
    fn judge_by_anchor(
        &self,
        record: &Tlsa,
        names: &[Box<str>],
        shown: &Shown<'_>,
    ) -> Result<(), Option<Error>> {
        let sent = shown.intermediates.iter().filter(|one| record.matches(one)).cloned();
        let anchors: Vec<CertificateDer<'_>> = sent.chain(record.carried()).collect();
        let mut why = None;
        for anchor in anchors {
            let mut roots = RootCertStore::empty();
            if roots.add(anchor.into_owned()).is_err() {
                continue;
            }
            let (roots, provider) = (Arc::new(roots), Arc::clone(&self.provider));
            let built = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let Ok(verifier) = built else { continue };
            match shown.verifies(&verifier, names) {
                Ok(()) => return Ok(()),
                Err(error) => why = Some(error),
            }
        }
        Err(why)
    }
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(&Shown { end_entity, intermediates, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
