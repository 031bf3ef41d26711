//! The resolver against its scripted twin, in a simulated world.

use lookup::{AddressAnswer, Answer, Ask, LookupError, MxAnswer, Request, Resolver, Script};
use mail::Domain;
use reactor::Reactor;
use reactor::sim::{Faults, World};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

fn name(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

/// Runs `script` in a world of its own.
fn live<T: 'static, F: Future<Output = T> + 'static>(script: impl FnOnce(Reactor) -> F) -> T {
    let world = World::new(1, Faults::none());
    let reactor = world.host("192.0.2.1".parse().expect("an address")).start().reactor();
    let result = Rc::new(RefCell::new(None));
    let (place, task) = (Rc::clone(&result), script(reactor.clone()));
    reactor.spawn(async move {
        let value = task.await;
        *place.borrow_mut() = Some(value);
    });
    let day = Duration::from_secs(24 * 3600);
    assert!(world.run(|| result.borrow().is_some(), day), "the script waits for ever");
    world.end();
    result.take().expect("just seen")
}

#[test]
fn an_answer_is_asked_for_once_and_then_cached() {
    let asked = live(|reactor| async move {
        let script = Script::new().mx("example.org", &[(10, "mx.example.org")]);
        let resolver = script.resolver(&reactor);
        for _ in 0..10 {
            let answer = resolver.mx(&name("example.org")).await;
            assert!(matches!(answer, Ok(MxAnswer::Hosts(hosts)) if hosts.len() == 1));
        }
        assert_eq!(resolver.mx(&name("other.example")).await, Ok(MxAnswer::NoSuchDomain));
        script.asked()
    });
    assert_eq!(asked, 2);
}

#[test]
fn many_who_ask_the_same_at_once_ask_once() {
    let asked = live(|reactor| async move {
        let script = Script::new().host("mx.example.org", &["192.0.2.25".parse().expect("an ip")]);
        let resolver = script.resolver(&reactor);
        let answered = Rc::new(Cell::new(0));
        for _ in 0..50 {
            let (resolver, answered) = (resolver.clone(), Rc::clone(&answered));
            reactor.spawn(async move {
                let answer = resolver.addresses(&name("mx.example.org")).await;
                assert!(matches!(answer, Ok(AddressAnswer::Addresses(_))));
                answered.set(answered.get() + 1);
            });
        }
        reactor.sleep(reactor.now() + Duration::from_secs(1)).await;
        assert_eq!(answered.get(), 50);
        script.asked()
    });
    assert_eq!(asked, 1);
}

#[test]
fn an_old_answer_serves_for_an_hour_when_the_resolver_fails() {
    live(|reactor| async move {
        let ask = Ask::Mx(name("example.org"));
        let script = Script::new();
        script.answer(ask.clone(), Answer::Mx(MxAnswer::Implicit));
        let resolver = script.resolver(&reactor);
        assert_eq!(resolver.mx(&name("example.org")).await, Ok(MxAnswer::Implicit));
        script.fail(ask, "SERVFAIL");
        // Answers of the script are valid for five minutes.
        reactor.sleep(reactor.now() + Duration::from_secs(1800)).await;
        assert_eq!(resolver.mx(&name("example.org")).await, Ok(MxAnswer::Implicit));
        assert_eq!(script.asked(), 2);
        reactor.sleep(reactor.now() + Duration::from_secs(3600)).await;
        let failed = Err(LookupError::Temporary("SERVFAIL".into()));
        assert_eq!(resolver.mx(&name("example.org")).await, failed);
    });
}

#[test]
fn a_question_that_nobody_answers_ends_by_itself() {
    live(|reactor| async move {
        let (requests, mut inbox) = reactor::channel::<Request>(2);
        let resolver = Resolver::new(&reactor, requests, Duration::from_secs(5));
        let began = reactor.now();
        let silent = resolver.mx(&name("example.org")).await;
        assert_eq!(reactor.now().since(began).as_secs(), 5);
        assert!(silent.is_err());
        // One that is dropped, with its reply, is answered at once.
        let began = reactor.now();
        drop(inbox.try_recv().expect("the question"));
        assert!(resolver.mx(&name("example.org")).await.is_err());
        drop(inbox);
        assert!(resolver.mx(&name("other.example")).await.is_err());
        assert_eq!(reactor.now().since(began).as_secs(), 0);
    });
}
