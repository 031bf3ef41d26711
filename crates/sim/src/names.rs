//! The name system of the world: what there is, and how badly it answers.

use crate::message::DOMAINS;
use crate::plan::NameMood;
use crate::yard::{AWAY, MX, Yard};
use lookup::{AddressAnswer, Answer, Ask, LookupError, MxAnswer, MxHost, Request, Resolver};
use mail::Domain;
use reactor::{Reactor, Receiver};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long the relay waits for an answer, as `dns.timeout` says.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a name server that does not answer is waited for.
const SILENCE: Duration = Duration::from_secs(20);

/// The hosts that take mail, by name.
const HOSTS: [(&str, IpAddr); 3] =
    [("a.mx.example", MX[0]), ("b.mx.example", MX[1]), ("host.away.example", AWAY)];

/// A resolver for one shard.
pub(crate) fn resolver(yard: &Rc<Yard>, reactor: &Reactor) -> Resolver {
    let (requests, inbox) = reactor::channel(1024);
    reactor.spawn(serve(Rc::clone(yard), reactor.clone(), inbox));
    Resolver::new(reactor, requests, PATIENCE)
}

async fn serve(yard: Rc<Yard>, reactor: Reactor, mut inbox: Receiver<Request>) {
    while let Some(request) = inbox.recv(&reactor).await {
        reactor.spawn(reply(Rc::clone(&yard), reactor.clone(), request));
    }
}

async fn reply(yard: Rc<Yard>, reactor: Reactor, request: Request) {
    let NameMood { silent, fails, slow, swapped } = yard.names.get();
    if yard.hits(silent) {
        // What is dropped then says that nobody answered.
        reactor.sleep(reactor.now() + SILENCE).await;
        return;
    }
    if slow > Duration::ZERO {
        reactor.sleep(reactor.now() + yard.time(&(Duration::ZERO..slow))).await;
    }
    if yard.hits(fails) {
        request.reply.send(Err(LookupError::Temporary("a server has failed".into())));
        return;
    }
    let valid = Duration::from_secs(1 + yard.below(300));
    request.reply.send(Ok((answer(&request.question, swapped), valid)));
}

fn answer(question: &Ask, swapped: bool) -> Answer {
    match question {
        Ask::Mx(domain) => Answer::Mx(mail_hosts(domain.as_str(), swapped)),
        Ask::Addresses(host) => {
            let found = HOSTS.iter().find(|(name, _)| *name == host.as_str());
            Answer::Addresses(match found {
                Some((_, address)) => AddressAnswer::Addresses(vec![*address]),
                None => AddressAnswer::NoSuchDomain,
            })
        }
    }
}

fn mail_hosts(domain: &str, swapped: bool) -> MxAnswer {
    let host = |preference, name: &str| MxHost {
        preference,
        name: Domain::parse(name).expect("the world has good names"),
    };
    if domain == DOMAINS[1] {
        let (first, second) = if swapped { (20, 10) } else { (10, 20) };
        MxAnswer::Hosts(vec![host(first, HOSTS[0].0), host(second, HOSTS[1].0)])
    } else if domain == DOMAINS[2] {
        MxAnswer::Hosts(vec![host(10, HOSTS[2].0)])
    } else {
        MxAnswer::NoSuchDomain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_that_a_domain_names_has_an_address() {
        for domain in [DOMAINS[1], DOMAINS[2]] {
            let MxAnswer::Hosts(hosts) = mail_hosts(domain, false) else { panic!("no hosts") };
            for host in hosts {
                let answer = answer(&Ask::Addresses(host.name), false);
                assert!(matches!(answer, Answer::Addresses(AddressAnswer::Addresses(_))));
            }
        }
        assert_eq!(mail_hosts("nowhere.example", false), MxAnswer::NoSuchDomain);
    }
}
