//! The resolver: what hickory says, in the words of `lookup`.
//!
//! Names are absolute, there is no search list and no hosts file: mail goes where the DNS says.
//! Only "there is no such name" and "there are no such records" are answers; a server that fails or
//! refuses (a validator's Bogus arrives as SERVFAIL) means *ask again later*, never a bounce.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use lookup::{AddressAnswer, Answer, Answered, Ask, LookupError, MxAnswer, MxHost};
use mail::Domain;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a "no" without a time of its own is believed (RFC 2308 §5 wants one from the SOA).
const NEGATIVE_DEFAULT: Duration = Duration::from_secs(60);

/// Bounds for what is handed on: a zero would ask at each message, a week outlive every change.
const VALID_MIN: Duration = Duration::from_secs(1);
const VALID_MAX: Duration = Duration::from_hours(24);

/// Asks name servers.
pub(crate) struct Dns {
    resolver: Result<TokioResolver, String>,
    timeout: Duration,
}

/// What one query came to.
enum Found {
    /// Records, for so long.
    Records(Lookup),
    /// The name has no records of this type.
    NoData(Duration),
    /// There is no such name.
    NoName(Duration),
}

impl Dns {
    /// A resolver that asks `servers`, or those of /etc/resolv.conf if there are none, and gives up
    /// a question after `timeout`. Without any server every question is answered as failed, with
    /// the reason.
    pub(crate) fn new(servers: &[SocketAddr], timeout: Duration) -> Self {
        Self { resolver: build(servers, timeout), timeout }
    }

    /// Why no question can be answered, if so.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.resolver.as_ref().err().map(String::as_str)
    }

    /// Answers within the time-out.
    pub(crate) async fn answer(&self, ask: &Ask) -> Answered {
        let answered = async {
            match ask {
                Ask::Mx(domain) => self.mx(domain).await,
                Ask::Addresses(host) => self.addresses(host).await,
            }
        };
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(temporary(ask, "no answer in time")),
        }
    }

    async fn mx(&self, domain: &Domain) -> Answered {
        let (answer, valid) = match self.query(domain, RecordType::MX).await? {
            Found::Records(records) => (mx_hosts(domain, &records)?, validity(&records)),
            Found::NoData(valid) => (MxAnswer::Implicit, valid),
            Found::NoName(valid) => (MxAnswer::NoSuchDomain, valid),
        };
        Ok((Answer::Mx(answer), valid))
    }

    /// A and AAAA side by side. One that fails is no reason to wait while the other has addresses,
    /// but then they are believed only for a short time.
    async fn addresses(&self, host: &Domain) -> Answered {
        let (v4, v6) =
            tokio::join!(self.query(host, RecordType::A), self.query(host, RecordType::AAAA));
        let mut all = Vec::new();
        let mut valid = VALID_MAX;
        let mut failure = None;
        let mut exists = true;
        for found in [v6, v4] {
            match found {
                Ok(Found::Records(records)) => {
                    all.extend(addresses_of(&records));
                    valid = valid.min(validity(&records));
                }
                Ok(Found::NoData(until)) => valid = valid.min(until),
                Ok(Found::NoName(until)) => {
                    valid = valid.min(until);
                    exists = false;
                }
                Err(error) => {
                    valid = valid.min(NEGATIVE_DEFAULT);
                    failure = Some(error);
                }
            }
        }
        let answer = match failure {
            _ if !all.is_empty() => AddressAnswer::Addresses(all),
            Some(error) => return Err(error),
            None if exists => AddressAnswer::NoData,
            None => AddressAnswer::NoSuchDomain,
        };
        Ok((Answer::Addresses(answer), valid))
    }

    async fn query(&self, name: &Domain, kind: RecordType) -> Result<Found, LookupError> {
        let failed = |why: &dyn std::fmt::Display| {
            LookupError::Temporary(format!("DNS {kind} of {name}: {why}"))
        };
        let resolver = self.resolver.as_ref().map_err(|why| failed(why))?;
        let absolute = Name::from_ascii(format!("{name}.")).map_err(|error| failed(&error))?;
        match resolver.lookup(absolute, kind).await {
            // Some servers answer with a CNAME alone, or with another type.
            Ok(records) if records.answers().iter().any(|r| r.record_type() == kind) => {
                Ok(Found::Records(records))
            }
            Ok(records) => Ok(Found::NoData(validity(&records).min(NEGATIVE_DEFAULT))),
            Err(error) => negative(&error).ok_or_else(|| failed(&error)),
        }
    }
}

fn build(servers: &[SocketAddr], timeout: Duration) -> Result<TokioResolver, String> {
    let servers = if servers.is_empty() {
        let (config, _) = hickory_resolver::system_conf::read_system_conf()
            .map_err(|error| format!("no name servers from /etc/resolv.conf: {error}"))?;
        config.into_parts().2
    } else {
        servers.iter().map(|server| name_server(*server)).collect()
    };
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    let options: &mut ResolverOpts = builder.options_mut();
    // One repetition within the time of the question: `attempts` counts those after the first.
    options.timeout = timeout / 2;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    builder.build().map_err(|error| format!("the resolver: {error}"))
}

/// A server asked over UDP, and over TCP when the answer does not fit.
fn name_server(server: SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(server.ip(), true, connections)
}

/// The "no" that an error is; `None` when it is a failure.
fn negative(error: &NetError) -> Option<Found> {
    let NetError::Dns(DnsError::NoRecordsFound(no)) = error else { return None };
    let valid = no.negative_ttl.map_or(NEGATIVE_DEFAULT, |ttl| Duration::from_secs(ttl.into()));
    let valid = valid.clamp(VALID_MIN, VALID_MAX);
    match no.response_code {
        ResponseCode::NXDomain => Some(Found::NoName(valid)),
        ResponseCode::NoError => Some(Found::NoData(valid)),
        _ => None,
    }
}

fn mx_hosts(domain: &Domain, records: &Lookup) -> Result<MxAnswer, LookupError> {
    let mut hosts = Vec::new();
    let mut null = false;
    for record in records.answers() {
        let RData::MX(mx) = &record.data else { continue };
        // RFC 7505 §3: a single MX whose exchange is the root.
        if mx.exchange.is_root() {
            null = true;
        } else if let Ok(name) = Domain::parse(&mx.exchange.to_ascii()) {
            hosts.push(MxHost { preference: mx.preference, name });
        }
    }
    match hosts.is_empty() {
        false => Ok(MxAnswer::Hosts(hosts)),
        true if null => Ok(MxAnswer::NullMx),
        true => Err(temporary(&Ask::Mx(domain.clone()), "its hosts are no host names")),
    }
}

fn addresses_of(records: &Lookup) -> impl Iterator<Item = IpAddr> {
    records.answers().iter().filter_map(|record| record.data.ip_addr())
}

/// How long the records are valid from now.
fn validity(records: &Lookup) -> Duration {
    let until = tokio::time::Instant::from_std(records.valid_until());
    until.duration_since(tokio::time::Instant::now()).clamp(VALID_MIN, VALID_MAX)
}

fn temporary(ask: &Ask, why: &str) -> LookupError {
    LookupError::Temporary(format!("DNS {ask}: {why}"))
}

/// Whether an answer names hosts or addresses.
pub(crate) fn is_positive(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Mx(MxAnswer::Hosts(_)) | Answer::Addresses(AddressAnswer::Addresses(_))
    )
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
