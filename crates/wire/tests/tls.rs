//! Both ends of TLS against each other, in a simulated world.

use reactor::sim::{Faults, World};
use reactor::{Hangup, Instant, Part, Reactor};
use rustls::RootCertStore;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use wire::{
    ClientTls, Identity, KeyExchange, MinimumVersion, ProxyHeader, Secured, ServerTls, TlsFailure,
    Tlsa, Trust, Wire,
};

/// An authority, and certificates that it gives.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(vec![]).expect("no names");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self { issuer: rcgen::Issuer::new(parameters, key), certificate }
    }

    /// Chain and key for `name` in PEM form, the authority's own certificate in the chain.
    fn give(&self, name: &str) -> (Identity, Vec<u8>) {
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = rcgen::KeyPair::generate().expect("a key");
        let given = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = format!("{}{}", given.pem(), self.certificate.pem());
        let identity = Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes());
        (identity.expect("they fit"), given.der().to_vec())
    }

    fn client(&self) -> ClientTls {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("an authority");
        ClientTls::new(roots)
    }
}

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const PORT: u16 = 25;

/// What a session came to at one end.
type Result<T> = std::result::Result<T, TlsFailure>;

/// Runs a client's and a server's script, each with its end of one connection.
fn meet<C, S, A, B>(client: C, server: S) -> (A, B)
where
    C: AsyncFnOnce(Reactor, Wire) -> A + 'static,
    S: AsyncFnOnce(Reactor, Wire) -> B + 'static,
    A: 'static,
    B: 'static,
{
    let world = World::new(1, Faults::none());
    let there = world.host(SERVER).start().reactor();
    let here = world.host("192.0.2.2".parse().expect("an address")).start().reactor();
    let ends: Rc<RefCell<(Option<A>, Option<B>)>> = Rc::new(RefCell::new((None, None)));
    let (one, other) = (Rc::clone(&ends), Rc::clone(&ends));
    let listener = there.listen(SocketAddr::new(SERVER, PORT), false).expect("a free port");
    let (task, reactor) = (there.clone(), there.clone());
    there.spawn(async move {
        let stream = listener.accept().await.expect("a client");
        let end = server(task, Wire::new(&reactor, stream)).await;
        other.borrow_mut().1 = Some(end);
    });
    let (task, reactor) = (here.clone(), here.clone());
    here.spawn(async move {
        let address = SocketAddr::new(SERVER, PORT);
        let stream = task.connect(address, None, Instant::NEVER).await.expect("a server");
        let end = client(task, Wire::new(&reactor, stream)).await;
        one.borrow_mut().0 = Some(end);
    });
    let both = || ends.borrow().0.is_some() && ends.borrow().1.is_some();
    assert!(world.run(both, Duration::from_secs(600)), "they wait for ever");
    world.end();
    let (one, other) = ends.take();
    (one.expect("just seen"), other.expect("just seen"))
}

fn server_tls(identity: Identity) -> ServerTls {
    ServerTls::new(identity, Vec::new(), MinimumVersion::Tls12, false)
}

/// A server that shows `identity` and a client that wants `trust`: what each made of it.
fn shake(
    client: &ClientTls,
    trust: &Trust,
    exchange: KeyExchange,
    tls: ServerTls,
) -> (Result<Secured>, Result<Secured>) {
    let config = client.config(trust, exchange);
    meet(
        async move |_, wire| wire.secure_as_client(config, "mx.example", Instant::NEVER).await,
        async move |_, wire| {
            let secured = wire.secure_as_server(&tls, Instant::NEVER).await;
            // The client's verdict comes with its last words.
            let _ = wire.recv(Instant::NEVER).await.err();
            secured
        },
    )
}

async fn send(wire: &Wire, bytes: Vec<u8>) {
    wire.send(vec![Part::Bytes(bytes)], Instant::NEVER).await.expect("the wire is whole");
}

async fn read(wire: &Wire, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&wire.recv(Instant::NEVER).await.expect("the wire is whole"));
    }
    bytes
}

#[test]
fn what_goes_in_at_one_end_comes_out_at_the_other_both_ways_and_the_end_is_heard() {
    let authority = Authority::new();
    let tls = server_tls(authority.give("mx.example").0);
    let config = authority.client().config(&Trust::Any, KeyExchange::Hybrid);
    let large: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
    let (there, back) = (large.clone(), large.clone());
    let (client, server) = meet(
        async move |_, wire| {
            let secured = wire.secure_as_client(config, "mx.example", Instant::NEVER).await;
            send(&wire, there).await;
            let received = read(&wire, 1_000_000).await;
            wire.close().await;
            (secured, received)
        },
        async move |_, wire| {
            let secured = wire.secure_as_server(&tls, Instant::NEVER).await;
            let received = read(&wire, 1_000_000).await;
            send(&wire, back).await;
            let end = wire.recv(Instant::NEVER).await.err();
            (secured, received, end)
        },
    );
    assert!(client.1 == large && server.1 == large);
    assert_eq!(server.2, Some(Hangup::Closed));
    let (client, server) = (client.0.expect("TLS"), server.0.expect("TLS"));
    assert_eq!((client.version, server.version), ("1.3", "1.3"));
    assert_eq!(client.cipher, server.cipher);
    assert_eq!(server.server_name.as_deref(), Some("mx.example"));
    assert_eq!(server.fingerprint, None);
}

#[test]
fn names_must_fit_only_when_names_are_wanted() {
    let authority = Authority::new();
    let tls = || server_tls(authority.give("other.example").0);
    let client = authority.client();
    let try_it = |trust: &Trust| shake(&client, trust, KeyExchange::Classic, tls()).0;
    assert!(try_it(&Trust::Any).is_ok());
    assert!(try_it(&Trust::Names(vec!["x.example".into(), "other.example".into()])).is_ok());
    let refused = try_it(&Trust::Names(vec!["mx.example".into()])).expect_err("another name");
    assert!(
        matches!(&refused, TlsFailure::Refused(why) if why.contains("other.example")),
        "{refused}"
    );
    let stranger = Authority::new().client();
    let names = Trust::Names(vec!["other.example".into()]);
    assert!(shake(&stranger, &names, KeyExchange::Hybrid, tls()).0.is_err());
}

#[test]
fn dane_believes_the_records_and_nothing_else() {
    let authority = Authority::new();
    let (identity, own) = authority.give("mx.example");
    // A client that knows no public authority.
    let client = ClientTls::new(RootCertStore::empty());
    let with = |usage: u8, certificate: &[u8], name: &str| {
        let record = Tlsa::new(usage, 0, 0, certificate).expect("usable");
        let trust = Trust::Dane { records: vec![record], names: vec![name.into()] };
        shake(&client, &trust, KeyExchange::Hybrid, server_tls(identity.clone())).0
    };
    assert!(with(3, &own, "names.do.not.matter").is_ok());
    assert!(with(2, authority.certificate.der(), "mx.example").is_ok());
    assert!(with(2, authority.certificate.der(), "other.example").is_err());
    assert!(with(3, authority.certificate.der(), "mx.example").is_err());
    assert!(with(2, Authority::new().certificate.der(), "mx.example").is_err());
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = Authority::new();
    let named = vec![(vec!["mx.example".into()], authority.give("mx.example").0)];
    let standard = authority.give("standard.example").0;
    let tls = ServerTls::new(standard, named, MinimumVersion::Tls13, false);
    let trust = Trust::Names(vec!["mx.example".into()]);
    assert!(shake(&authority.client(), &trust, KeyExchange::Hybrid, tls.clone()).0.is_ok());
    assert_eq!(
        tls.identities().map(|(name, _)| name).collect::<Vec<_>>(),
        [None, Some("mx.example")]
    );
}

#[test]
fn a_session_is_resumed_also_after_the_certificate_was_renewed() {
    let authority = Authority::new();
    let tls = server_tls(authority.give("mx.example").0);
    let config = authority.client().config(&Trust::Any, KeyExchange::Hybrid);
    let session = |tls: ServerTls, config: std::sync::Arc<rustls::ClientConfig>| {
        let (client, _) = meet(
            async move |_, wire| {
                let secured = wire.secure_as_client(config, "mx.example", Instant::NEVER).await;
                // Tickets come behind the handshake, with what the server says first.
                read(&wire, 5).await;
                wire.close().await;
                secured.expect("TLS").resumed
            },
            async move |_, wire| {
                wire.secure_as_server(&tls, Instant::NEVER).await.expect("TLS");
                send(&wire, b"hello".to_vec()).await;
                let _ = wire.recv(Instant::NEVER).await.err();
            },
        );
        client
    };
    assert!(!session(tls.clone(), config.clone()));
    assert!(session(tls.clone(), config.clone()));
    let renewed = tls.renewed(authority.give("mx.example").0, Vec::new());
    assert!(session(renewed, config));
}

#[test]
fn garbage_instead_of_a_handshake_is_refused_and_silence_times_out() {
    let tls = server_tls(Authority::new().give("mx.example").0);
    let silent = tls.clone();
    let (_, refused) = meet(
        async |_, wire| send(&wire, b"EHLO client.example\r\n".to_vec()).await,
        async move |_, wire| wire.secure_as_server(&tls, Instant::NEVER).await,
    );
    assert!(matches!(refused, Err(TlsFailure::Refused(_))));
    let (_, late) = meet(
        async |reactor, wire| {
            reactor.sleep(reactor.now() + Duration::from_secs(60)).await;
            wire.abort();
        },
        async move |reactor, wire| {
            let by = reactor.now() + Duration::from_secs(30);
            wire.secure_as_server(&silent, by).await
        },
    );
    assert_eq!(late, Err(TlsFailure::Hangup(Hangup::TimedOut)));
}

#[test]
fn what_follows_a_proxy_header_is_the_clients_in_the_clear_and_over_tls() {
    let authority = Authority::new();
    let tls = server_tls(authority.give("mx.example").0);
    let config = authority.client().config(&Trust::Any, KeyExchange::Hybrid);
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.1 4096 25\r\n".to_vec();
    let expected = ProxyHeader::Client {
        source: "203.0.113.9:4096".parse().expect("an address"),
        destination: "192.0.2.1:25".parse().expect("an address"),
    };
    let mut clear = header.clone();
    clear.extend(b"EHLO x\r\n");
    let (_, (found, rest)) = meet(
        async move |_, wire| send(&wire, clear).await,
        async |_, wire| (wire.read_proxy_header(Instant::NEVER).await, read(&wire, 8).await),
    );
    assert_eq!((found, &*rest), (Ok(expected), &b"EHLO x\r\n"[..]));
    let (client, found) = meet(
        async move |_, wire| {
            send(&wire, header).await;
            wire.secure_as_client(config, "mx.example", Instant::NEVER).await.is_ok()
        },
        async move |_, wire| {
            let found = wire.read_proxy_header(Instant::NEVER).await;
            wire.secure_as_server(&tls, Instant::NEVER).await.expect("TLS");
            found
        },
    );
    assert_eq!((client, found), (true, Ok(expected)));
}
