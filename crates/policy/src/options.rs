//! What the operator decides.

use crate::DomainPattern;
use ipnet::IpNet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// `[relay]` and the per-client part of `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `relay.networks`: clients that may send to anyone. Default: loopback.
    pub networks: Vec<IpNet>,
    /// `relay.client_certificates`: SHA-256 fingerprints of certificates whose holders may send to
    /// anyone. Default: none.
    pub client_certificates: Vec<[u8; 32]>,
    /// `relay.domains`: recipient domains that anyone may send to. Default: none.
    pub domains: Vec<DomainPattern>,
    /// `limits.exempt`: networks without per-client limits, such as load balancers. Default: none.
    pub exempt: Vec<IpNet>,
    /// `limits.sessions_per_client`: open sessions of one stranger, at least 1; `None` is off.
    /// Default: 50.
    pub sessions_per_client: Option<u32>,
    /// `limits.connections_per_client`: connections of one stranger; `None` is off. Default: 600
    /// a minute.
    pub connections_per_client: Option<Rate>,
    /// `auth.failures`: failed authentications of one client; then 421. Default: 10 in 10 minutes.
    pub auth_failures: Option<Rate>,
}

/// So many in so much time: `600/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1; also the burst that is borne at once.
    pub count: u32,
    /// In how long; over zero.
    pub per: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8);
        Self {
            networks: vec![loopback, IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128)],
            client_certificates: Vec::new(),
            domains: Vec::new(),
            exempt: Vec::new(),
            sessions_per_client: Some(50),
            connections_per_client: Some(Rate { count: 600, per: Duration::from_secs(60) }),
            auth_failures: Some(Rate { count: 10, per: Duration::from_secs(10 * 60) }),
        }
    }
}
