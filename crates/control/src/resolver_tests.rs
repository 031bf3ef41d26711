//! The resolver against a real name server on loopback.

use super::*;
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, SOA};
use hickory_resolver::proto::rr::{LowerName, Record};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use std::sync::Arc;
use tokio::net::UdpSocket;

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

fn mx(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, name(host)))
}

/// A server for `example.`; it refuses all other names.
async fn zone(records: &[(&str, u32, RData)]) -> (Server<Catalog>, SocketAddr) {
    let origin = name("example.");
    let mut zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
        origin.clone(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
    );
    let soa = SOA::new(name("ns.example."), name("root.example."), 1, 60, 60, 60, 30);
    zone.upsert_mut(Record::from_rdata(origin.clone(), 30, RData::SOA(soa)), 0);
    for (owner, ttl, data) in records {
        zone.upsert_mut(Record::from_rdata(name(owner), *ttl, data.clone()), 0);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&origin), vec![Arc::new(zone)]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    let mut server = Server::new(catalog);
    server.register_socket(socket);
    (server, address)
}

fn dns(server: SocketAddr) -> Dns {
    Dns::new(&[server], Duration::from_secs(10))
}

async fn mx_of(dns: &Dns, text: &str) -> (MxAnswer, Duration) {
    match dns.answer(&Ask::Mx(domain(text))).await {
        Ok((Answer::Mx(answer), valid)) => (answer, valid),
        other => panic!("{text}: {other:?}"),
    }
}

async fn addresses(dns: &Dns, text: &str) -> (AddressAnswer, Duration) {
    match dns.answer(&Ask::Addresses(domain(text))).await {
        Ok((Answer::Addresses(answer), valid)) => (answer, valid),
        other => panic!("{text}: {other:?}"),
    }
}

#[tokio::test]
async fn mx_records_are_handed_on_with_their_time() {
    let (_server, address) = zone(&[
        ("a.example.", 300, mx(20, "Two.Example.")),
        ("a.example.", 300, mx(10, "one.example.")),
    ])
    .await;
    let (answer, valid) = mx_of(&dns(address), "a.example").await;
    let MxAnswer::Hosts(mut hosts) = answer else { panic!("{answer:?}") };
    hosts.sort_by_key(|host| host.preference);
    let expected = [(10, "one.example"), (20, "two.example")];
    let expected = expected.map(|(preference, name)| MxHost { preference, name: domain(name) });
    assert_eq!(hosts, expected);
    assert!(valid <= Duration::from_secs(300) && valid > Duration::from_secs(280), "{valid:?}");
}

#[tokio::test]
async fn null_mx_implicit_mx_and_no_such_domain_are_told_apart() {
    let (_server, address) = zone(&[
        ("null.example.", 300, mx(0, ".")),
        ("host.example.", 300, RData::A(A::new(192, 0, 2, 1))),
        ("alias.example.", 300, RData::CNAME(CNAME(name("host.example.")))),
    ])
    .await;
    let dns = dns(address);
    assert_eq!(mx_of(&dns, "null.example").await.0, MxAnswer::NullMx);
    assert_eq!(mx_of(&dns, "host.example").await.0, MxAnswer::Implicit);
    assert_eq!(mx_of(&dns, "alias.example").await.0, MxAnswer::Implicit);
    let (answer, valid) = mx_of(&dns, "none.example").await;
    assert_eq!(answer, MxAnswer::NoSuchDomain);
    assert!(valid <= Duration::from_secs(30), "the SOA says 30 s: {valid:?}");
}

#[tokio::test]
async fn addresses_are_of_both_families_and_over_an_alias() {
    let v6 = "2001:db8::1".parse().expect("an address");
    let (_server, address) = zone(&[
        ("host.example.", 300, RData::A(A::new(192, 0, 2, 1))),
        ("host.example.", 60, RData::AAAA(AAAA(v6))),
        ("alias.example.", 300, RData::CNAME(CNAME(name("host.example.")))),
        ("text.example.", 300, mx(0, "host.example.")),
    ])
    .await;
    let dns = dns(address);
    let both = [IpAddr::from(v6), "192.0.2.1".parse().expect("an address")];
    let (answer, valid) = addresses(&dns, "host.example").await;
    assert_eq!(answer, AddressAnswer::Addresses(both.to_vec()));
    assert!(valid <= Duration::from_secs(60), "the shorter one counts: {valid:?}");
    let (answer, _) = addresses(&dns, "alias.example").await;
    assert_eq!(answer, AddressAnswer::Addresses(both.to_vec()));
    assert_eq!(addresses(&dns, "text.example").await.0, AddressAnswer::NoData);
    assert_eq!(addresses(&dns, "none.example").await.0, AddressAnswer::NoSuchDomain);
}

#[tokio::test]
async fn a_server_that_refuses_gives_no_answer() {
    let (_server, address) = zone(&[]).await;
    let refused = dns(address).answer(&Ask::Mx(domain("example.org"))).await;
    assert!(matches!(refused, Err(LookupError::Temporary(_))), "{refused:?}");
}

/// The limit is our own: hickory's are for one query, and an alias or a second server makes more.
#[tokio::test]
async fn a_question_ends_in_its_time_whatever_the_library_would_wait() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let resolver = build(&[address], Duration::from_secs(40));
    let dns = Dns { resolver, timeout: Duration::from_millis(50) };
    for ask in [Ask::Mx(domain("a.example")), Ask::Addresses(domain("a.example"))] {
        let answered = dns.answer(&ask).await;
        let Err(LookupError::Temporary(why)) = answered else { panic!("{answered:?}") };
        assert!(why.ends_with("no answer in time"), "{why}");
    }
}

#[tokio::test]
async fn a_name_is_never_completed_by_a_search_list() {
    let (_server, address) = zone(&[("host.example.", 300, mx(1, "host.example."))]).await;
    let answered = dns(address).answer(&Ask::Mx(domain("host"))).await;
    assert!(matches!(answered, Err(LookupError::Temporary(_))), "`host.` is refused: {answered:?}");
}
