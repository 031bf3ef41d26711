//! TLS as a server offers it: which certificate for which name, from which version on.

use crate::Identity;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use std::sync::Arc;

/// The oldest version that is spoken (`tls.minimum`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What a server needs to speak TLS. Cloning shares it; changed files make a new one, which new
/// sessions get.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    identities: Arc<Identities>,
}

impl ServerTls {
    /// A server that shows the identity whose names hold the one that the client asks for, and
    /// `standard` to everybody else. Client certificates are asked for only if `asks_clients`; any
    /// will do then, and its fingerprint tells who it is.
    pub fn new(
        standard: Identity,
        named: Vec<(Vec<Box<str>>, Identity)>,
        minimum: MinimumVersion,
        asks_clients: bool,
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let identities = Arc::new(Identities { standard, named });
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(minimum.versions());
        let builder = builder.expect("the provider has suites of both versions");
        let builder = if asks_clients {
            builder.with_client_cert_verifier(Arc::new(AnyClient::of(&provider)))
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&identities) as _);
        if let Some(tickets) = tickets() {
            config.ticketer = tickets;
        }
        Self { config: Arc::new(config), identities }
    }

    /// The same with other files: sessions can still be resumed.
    #[must_use]
    pub fn renewed(&self, standard: Identity, named: Vec<(Vec<Box<str>>, Identity)>) -> Self {
        let identities = Arc::new(Identities { standard, named });
        let mut config = (*self.config).clone();
        config.cert_resolver = Arc::clone(&identities) as _;
        Self { config: Arc::new(config), identities }
    }

    /// The identities, under the first of their names; the standard one has none.
    pub fn identities(&self) -> impl Iterator<Item = (Option<&str>, &Identity)> {
        let named = self.identities.named.iter();
        let named = named.map(|(names, identity)| (names.first().map(|name| &**name), identity));
        std::iter::once((None, &self.identities.standard)).chain(named)
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// Tickets that hold their own state (RFC 8446 §4.6.1): the server keeps nothing of sessions that
/// may come back. Without randomness there are none.
fn tickets() -> Option<Arc<dyn ProducesTickets>> {
    aws_lc_rs::Ticketer::new().ok()
}

/// Both versions, the newer first.
static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

impl MinimumVersion {
    /// The versions from this one on.
    pub(crate) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => &BOTH[..1],
        }
    }
}

#[derive(Debug)]
struct Identities {
    standard: Identity,
    named: Vec<(Vec<Box<str>>, Identity)>,
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        let meant = |names: &[Box<str>]| wanted.is_some_and(|wanted| is_among(names, wanted));
        let named = self.named.iter().find(|(names, _)| meant(names));
        let identity = named.map_or(&self.standard, |(_, identity)| identity);
        Some(Arc::clone(&identity.key))
    }
}

/// Whether `wanted` is one of `names`, or right below one that begins with `*.`.
fn is_among(names: &[Box<str>], wanted: &str) -> bool {
    names.iter().any(|name| match name.strip_prefix("*.") {
        Some(parent) => {
            wanted.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        }
        None => name.eq_ignore_ascii_case(wanted),
    })
}

/// Takes any client certificate whose key the client has, and none at all. Who it is, is for policy
/// to say, by the fingerprint.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    fn of(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        let algorithms = &self.algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        let algorithms = &self.algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names: Vec<Box<str>> = vec!["mx.example.org".into(), "*.example.net".into()];
        assert!(is_among(&names, "MX.example.org"));
        assert!(is_among(&names, "a.example.net"));
        assert!(!is_among(&names, "a.b.example.net"));
        assert!(!is_among(&names, "example.net"));
    }
}
