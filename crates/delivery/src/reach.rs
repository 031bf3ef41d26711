//! From a next hop to a session: lookup, hosts, addresses, connections, one after another.

use crate::place::Place;
use crate::routes::Target;
use crate::shard::Shard;
use crate::talk::{self, Talk};
use crate::{ResolvedRoute, mx};
use lookup::AddressAnswer;
use mail::{Domain, EnhancedStatus, Outcome, Reason, UnixTime};
use queue::Term;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// Addresses that one attempt tries at most.
const ADDRESSES_MAX: usize = 10;

/// Nobody could be reached.
pub(crate) struct Unreached {
    /// What becomes of the recipients.
    pub(crate) outcome: Outcome,
    /// The last host that was called.
    pub(crate) host: Option<Box<str>>,
}

/// How far the search has come.
struct Search {
    /// What ends the attempt.
    term: Term,
    called: usize,
    last: Option<(Reason, Box<str>)>,
    unanswered: Option<String>,
    /// Addresses that the route forbids.
    forbidden: bool,
}

/// A session with a host of this place, for the attempt that `term` ends.
pub(crate) async fn reach(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    term: Term,
) -> Result<Talk, Unreached> {
    let route = place.route();
    let mut search = Search { term, called: 0, last: None, unanswered: None, forbidden: false };
    match &route.target {
        Target::Host { host, port } => match (host.parse::<IpAddr>(), Domain::parse(host)) {
            (Ok(address), _) => {
                let name = address.to_string();
                if let Some(talk) = search.call_all(shard, place, &name, vec![address], *port).await
                {
                    return Ok(talk);
                }
            }
            (Err(_), Ok(name)) => {
                if let Some(talk) = search.try_host(shard, place, &name, *port).await {
                    return Ok(talk);
                }
            }
            (Err(_), Err(_)) => {}
        },
        Target::Mx(domain) => {
            let port = shard.options().port;
            for name in mail_hosts(shard, domain, &route).await? {
                if let Some(talk) = search.try_host(shard, place, &name, port).await {
                    return Ok(talk);
                }
            }
        }
        Target::Discard | Target::Hold => unreachable!("these have no sessions"),
    }
    Err(search.verdict(&route.target))
}

/// The hosts of a domain, in the order to be tried.
async fn mail_hosts(
    shard: &Rc<Shard>,
    domain: &Domain,
    route: &ResolvedRoute,
) -> Result<Vec<Domain>, Unreached> {
    let without_host = |outcome| Unreached { outcome, host: None };
    if mx::literal(domain).is_some() {
        return Ok(vec![domain.clone()]);
    }
    match shard.resolver.mx(domain).await {
        Ok(answer) => mx::hosts(domain, answer, &route.hello, || shard.reactor.entropy())
            .map_err(without_host),
        Err(error) => Err(without_host(mx::unanswered(&format!("MX of {domain}: {error}")))),
    }
}

impl Search {
    /// Tries all addresses of the host `name`, or the one in an address literal.
    async fn try_host(
        &mut self,
        shard: &Rc<Shard>,
        place: &Rc<Place>,
        name: &Domain,
        port: u16,
    ) -> Option<Talk> {
        if self.must_end(shard) {
            return None;
        }
        let answer = match mx::literal(name) {
            Some(address) => Ok(AddressAnswer::Addresses(vec![address])),
            None => shard.resolver.addresses(name).await,
        };
        match answer {
            Ok(answer) => {
                let addresses = mx::alternating(answer);
                self.call_all(shard, place, name.as_str(), addresses, port).await
            }
            Err(error) => {
                self.unanswered = Some(format!("addresses of {name}: {error}"));
                None
            }
        }
    }

    async fn call_all(
        &mut self,
        shard: &Rc<Shard>,
        place: &Rc<Place>,
        name: &str,
        addresses: Vec<IpAddr>,
        port: u16,
    ) -> Option<Talk> {
        let version = place.route().ip;
        for address in addresses {
            if !version.admits(address) {
                self.forbidden = true;
                continue;
            }
            if self.must_end(shard) {
                return None;
            }
            self.called += 1;
            let address = SocketAddr::new(address, port);
            match talk::call(shard, place, name, address, self.term).await {
                Ok(talk) => return Some(talk),
                Err(failure) => self.last = Some(failure),
            }
        }
        None
    }

    /// Whether no further host may be tried.
    fn must_end(&self, shard: &Shard) -> bool {
        self.called >= ADDRESSES_MAX || shard.is_draining() || shard.is_over(Some(self.term))
    }

    /// What becomes of the recipients when all has been tried.
    fn verdict(self, target: &Target) -> Unreached {
        let deferred = |reason| Outcome::Deferred { reason, not_before: UnixTime(0) };
        if let Some((reason, host)) = self.last {
            return Unreached { outcome: deferred(reason), host: Some(host) };
        }
        let outcome = match (self.unanswered, target) {
            (Some(text), _) => mx::unanswered(&text),
            (None, Target::Mx(domain)) if !self.forbidden => mx::all_absent(domain),
            (None, Target::Mx(_) | Target::Host { .. } | Target::Discard | Target::Hold) => {
                // A smarthost that does not exist, or has no address of the wanted kind, is a
                // mistake of ours: nobody's mail bounces for it.
                let text = "the next hop has no address that its route may use".to_owned();
                deferred(Reason::Lookup(EnhancedStatus(4, 4, 4), text))
            }
        };
        Unreached { outcome, host: None }
    }
}
