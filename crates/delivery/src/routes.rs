//! All routes together: which next hop a recipient has, and what that next hop means.

use crate::route::{Extension, IpVersion, Via};
use crate::{Login, Options, Route, TlsWord};
use mail::{Domain, Envelope, ForwardPath, NextHop};
use std::net::IpAddr;

/// The routes in force. Pure: nothing is looked up.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Routes with the name of their next hop, where that does not depend on the recipient.
    routes: Vec<(Route, Option<NextHop>)>,
    options: Options,
    /// Our own domain: where a bare postmaster lives.
    own: Option<Domain>,
}

/// What a next hop means: a route with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRoute {
    /// Where.
    pub target: Target,
    /// Sessions at a time.
    pub sessions: usize,
    /// Messages in one session.
    pub messages_per_session: u32,
    /// Local addresses to send from.
    pub source: Vec<IpAddr>,
    /// Our name in EHLO.
    pub hello: Box<str>,
    /// Which addresses are tried.
    pub ip: IpVersion,
    /// How sessions are encrypted.
    pub tls: TlsWord,
    /// Who we are there, if somebody.
    pub login: Option<Login>,
    /// Extensions that are not used.
    pub without: Vec<Extension>,
    /// File and line of the route, unless it is the default one.
    pub place: Option<(Box<str>, usize)>,
}

/// Where a next hop is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At the MX hosts of a domain.
    Mx(Domain),
    /// At a host, by its addresses.
    Host {
        /// A name or an IP address.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// Nowhere: delivered.
    Discard,
    /// Nowhere: deferred.
    Hold,
}

impl Routes {
    /// The routes of `options`.
    pub fn new(options: &Options) -> Self {
        let with_name = |route: &Route| {
            let name = match &route.via {
                Via::Mx => None,
                via => Some(NextHop::new(&via.to_string())),
            };
            (route.clone(), name)
        };
        Self {
            routes: options.routes.iter().map(with_name).collect(),
            own: Domain::parse(&options.hello).ok(),
            options: Options { routes: Vec::new(), ..options.clone() },
        }
    }

    /// The next hop of a recipient: that of the first route that matches, else the MX hosts of its
    /// domain. A bare postmaster lives at our own domain.
    pub fn next_hop(&self, envelope: &Envelope, recipient: &ForwardPath) -> NextHop {
        // Conditions on sender, user and client come with the routes issue.
        let _ = envelope;
        let own = self.own.as_ref();
        let matching = self
            .routes
            .iter()
            .find(|(route, _)| route.to.iter().any(|pattern| pattern.matches(recipient, own)));
        if let Some((_, Some(name))) = matching {
            return name.clone();
        }
        match recipient.domain().or(own) {
            Some(domain) => Via::Mx.next_hop(domain),
            None => NextHop::new("mx://localhost"),
        }
    }

    /// What `hop` means with these routes. A hop that no route leads to any more (messages are
    /// routed anew at a reload, attempts under way are not) means what its name says.
    pub fn resolve(&self, hop: &NextHop) -> ResolvedRoute {
        let target = target(hop);
        let route = self.routes.iter().find(|(route, name)| match (&target, name) {
            (_, Some(name)) => name == hop,
            (Target::Mx(domain), None) => route.to.iter().any(|pattern| pattern.covers(domain)),
            (Target::Host { .. } | Target::Discard | Target::Hold, None) => false,
        });
        let default = Route::new(Vec::new(), Via::Mx);
        let route = route.map_or(&default, |(route, _)| route);
        ResolvedRoute {
            target,
            sessions: route.sessions.unwrap_or(self.options.sessions_per_destination).max(1),
            messages_per_session: route.messages_per_session.max(1),
            source: route.source.clone(),
            hello: route.hello.as_ref().unwrap_or(&self.options.hello).clone(),
            ip: route.ip,
            tls: route.tls.unwrap_or(self.options.tls),
            login: route.login.clone(),
            without: route.without.clone(),
            place: route.place.clone(),
        }
    }
}

/// A next hop's name says where it is.
fn target(hop: &NextHop) -> Target {
    match hop.as_str().parse() {
        Ok(Via::MxOf(domain)) => Target::Mx(domain),
        Ok(Via::Smtp { host, port }) => Target::Host { host, port },
        Ok(Via::Discard) => Target::Discard,
        // A name that an older version gave: an operator must say where it goes now.
        Ok(Via::Hold | Via::Mx) | Err(_) => Target::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{BodyKind, Origin, Protocol, ReversePath, UnixTime};

    fn envelope() -> Envelope {
        Envelope {
            reverse_path: ReversePath::Null,
            recipients: Vec::new(),
            body: BodyKind::SevenBit,
            utf8: false,
            request: None,
            origin: Origin {
                client: None,
                hello: "".into(),
                listener: "".into(),
                rule: "".into(),
                protocol: Protocol::Local,
                arrived: UnixTime(0),
                ..Origin::default()
            },
        }
    }

    fn routes(list: &[(&str, &str)]) -> Routes {
        let route = |(to, via): &(&str, &str)| {
            let mut route =
                Route::new(vec![to.parse().expect("a pattern")], via.parse().expect("a via"));
            route.sessions = Some(7);
            route
        };
        Routes::new(&Options {
            hello: "relay.example".into(),
            routes: list.iter().map(route).collect(),
            ..Options::default()
        })
    }

    fn hop(routes: &Routes, recipient: &str) -> String {
        let recipient = ForwardPath::parse(recipient).expect("a path");
        routes.next_hop(&envelope(), &recipient).to_string()
    }

    #[test]
    fn the_first_route_that_matches_wins_and_else_mx() {
        let routes = routes(&[
            ("user@example.org", "discard"),
            ("example.org", "smtp://192.0.2.25:26"),
            ("*.example.org", "mx"),
            ("other.example", "mx://example.net"),
        ]);
        assert_eq!(hop(&routes, "user@example.org"), "discard");
        assert_eq!(hop(&routes, "else@example.org"), "smtp://192.0.2.25:26");
        assert_eq!(hop(&routes, "else@sub.example.org"), "mx://sub.example.org");
        assert_eq!(hop(&routes, "x@other.example"), "mx://example.net");
        assert_eq!(hop(&routes, "x@nowhere.example"), "mx://nowhere.example");
        assert_eq!(hop(&routes, "postmaster"), "mx://relay.example");
    }

    #[test]
    fn a_next_hop_means_its_route_or_what_its_name_says() {
        let routes = routes(&[("example.org", "smtp://192.0.2.25:26"), ("*.example.org", "mx")]);
        let resolved = |name: &str| routes.resolve(&NextHop::new(name));
        assert_eq!(resolved("smtp://192.0.2.25:26").sessions, 7);
        assert_eq!(resolved("mx://a.example.org").sessions, 7);
        assert_eq!(resolved("mx://example.org").sessions, 20);
        let gone = resolved("smtp://[::1]:27");
        assert_eq!(gone.target, Target::Host { host: "::1".into(), port: 27 });
        assert_eq!(gone.hello, "relay.example".into());
        assert_eq!(resolved("lmtp+unix:/socket").target, Target::Hold);
    }
}
