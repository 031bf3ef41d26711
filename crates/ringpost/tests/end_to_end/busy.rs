//! What another process has already: a port, a spool. (The name lets the slowest test begin first.)

use crate::relay::{Port, Setup, Site, reactors, refusal, refusal_within, with_each_reactor};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

#[test]
fn a_port_in_use_is_named() {
    with_each_reactor(|reactor| {
        let site = Site::new(&Setup::new(reactor, &Port::free()));
        let address = (Ipv4Addr::LOCALHOST, site.smtp());
        let _other = TcpListener::bind(address).expect("our port");
        let (code, text) = refusal(&mut site.serve());
        let place = format!("127.0.0.1:{}", site.smtp());
        assert!(code == 75 && text.contains(&place), "{code}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    });
}

/// Slow: a starting relay waits 30 s for the spool of a process that may be dying. Both kernel
/// interfaces wait at the same time.
#[test]
fn a_spool_in_use_is_waited_for_and_then_named() {
    std::thread::scope(|scope| {
        for reactor in reactors() {
            scope.spawn(move || {
                let setup = Setup::new(reactor, &Port::free());
                let site = Site::new(&setup);
                let relay = site.start();
                let other = Site::beside(&site, &setup);
                let (code, text) = refusal_within(Duration::from_secs(45), &mut other.serve());
                assert_eq!(code, 75, "{text}");
                let lock = site.spool().join("LOCK").display().to_string();
                assert!(text.contains("spool.warned") && text.contains(&lock), "{text}");
                assert!(text.contains("the spool is in use"), "{text}");
                relay.stop();
            });
        }
    });
}
