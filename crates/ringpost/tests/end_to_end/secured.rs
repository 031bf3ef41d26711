//! Clients that encrypt, prove who they are, or come by a proxy.

use crate::peers::{Client, sent};
use crate::relay::{Port, Setup, Site, refusal, with_each_reactor};
use crate::sink::Sink;
use crate::wait::until;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use wire::{ClientTls, KeyExchange, Trust};

/// The keys of RFC 7677 for the password `pencil`.
const KEYS: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

/// `\0user\0pencil` and `\0user\0penicl` in base64.
const RIGHT: &str = "AHVzZXIAcGVuY2ls";
const WRONG: &str = "AHVzZXIAcGVuaWNs";

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that speaks TLS.
struct Encrypted {
    stream: BufReader<Tls>,
}

impl Encrypted {
    /// Shakes hands on `stream`, whoever the server is.
    fn new(mut stream: TcpStream) -> Self {
        let client = ClientTls::new(RootCertStore::empty());
        let config = client.config(&Trust::Any, KeyExchange::Hybrid);
        let name = ServerName::try_from("relay.example").expect("a name");
        let mut connection = ClientConnection::new(config, name).expect("a client");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).expect("a handshake");
        }
        Self { stream: BufReader::new(StreamOwned::new(connection, stream)) }
    }

    /// Over STARTTLS, up to the reply to the second EHLO.
    fn after_starttls(port: u16) -> Self {
        let mut client = Client::greeted(port).expect("a greeting");
        let reply = client.command("STARTTLS").expect("a reply");
        assert!(reply.starts_with("220 "), "{reply}");
        let mut encrypted = Self::new(client.stream().try_clone().expect("the stream"));
        assert!(encrypted.command("EHLO client.example").starts_with("250 "));
        encrypted
    }

    /// The last line of the reply to `line`.
    fn command(&mut self, line: &str) -> String {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("sent");
        loop {
            let mut reply = String::new();
            self.stream.read_line(&mut reply).expect("a reply");
            if reply.as_bytes().get(3) != Some(&b'-') {
                return reply.trim_end().to_owned();
            }
        }
    }

    fn certificate(&self) -> Vec<u8> {
        let shown = self.stream.get_ref().conn.peer_certificates();
        shown.expect("a handshake")[0].to_vec()
    }
}

/// Writes a new pair to `directory`; its certificate.
fn write_pair(directory: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["relay.example".to_owned()]);
    let made = made.expect("a certificate");
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).expect("written");
    made.cert.der().to_vec()
}

/// A site with certificate, users, and listeners of these kinds; its first certificate.
fn site(setup: Setup, listeners: &str) -> (Site, Vec<u8>) {
    let site = Site::new(&setup);
    let directory = site.path("");
    let certificate = write_pair(&directory);
    let users = format!("user {KEYS} user@example.org\n");
    std::fs::write(site.path("users"), users).expect("written");
    let more = format!(
        "{listeners}[tls]\ncertificate = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n\
         [auth]\nusers = \"table:{0}/users\"\nfailures = \"2/1h\"\n",
        directory.display()
    );
    site.configure(&Setup { more, ..setup });
    (site, certificate)
}

fn listener(port: &Port, rest: &str) -> String {
    format!("[[listener]]\naddress = \"127.0.0.1:{}\"\n{rest}", port.number())
}

#[test]
fn a_message_over_starttls_says_so_in_its_trace() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let (site, certificate) = site(Setup::new(reactor, &next), "");
        let relay = site.start();
        let mut client = Encrypted::after_starttls(site.smtp());
        assert_eq!(client.certificate(), certificate);
        for line in ["MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"] {
            assert!(client.command(line).starts_with(['2', '3']));
        }
        assert!(client.command("Subject: x\r\n\r\nhello\r\n.").starts_with("250 2.0.0 Ok"));
        let message = String::from_utf8_lossy(&sink.until_count(1)[0].body).into_owned();
        for part in ["with ESMTPS\r\n", "TLS_AES_256_GCM_SHA384", "\r\nDate: ", "\r\nMessage-ID: "]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
        relay.stop();
    });
}

#[test]
fn users_prove_who_they_are_and_send_with_their_own_addresses() {
    with_each_reactor(|reactor| {
        let (next, submission) = (Port::free(), Port::free());
        let sink = Sink::start(&next);
        let listeners = listener(&submission, "kind = \"submission\"\ntls = \"required\"\n");
        let setup = Setup::for_strangers(reactor, &next, "[]");
        let (site, _) = site(setup, &listeners);
        let relay = site.start();
        let mut clear = Client::greeted(submission.number()).expect("a greeting");
        let reply = clear.command("MAIL FROM:<user@example.org>").expect("a reply");
        assert!(reply.starts_with("530 5.7.0 "), "{reply}");
        let mut client = Encrypted::after_starttls(submission.number());
        let reply = client.command("MAIL FROM:<user@example.org>");
        assert!(reply.starts_with("530 5.7.0 "), "{reply}");
        let reply = client.command(&format!("AUTH PLAIN {WRONG}"));
        assert!(reply.starts_with("535 5.7.8 "), "{reply}");
        let reply = client.command(&format!("AUTH PLAIN {RIGHT}"));
        assert!(reply.starts_with("235 2.7.0 "), "{reply}");
        let reply = client.command("MAIL FROM:<other@example.org>");
        assert!(reply.starts_with("553 5.7.1 "), "{reply}");
        for line in ["MAIL FROM:<user@example.org>", "RCPT TO:<b@anywhere.example>", "DATA"] {
            assert!(client.command(line).starts_with(['2', '3']), "{line}");
        }
        assert!(client.command("\r\nhello\r\n.").starts_with("250 2.0.0 Ok"));
        let message = String::from_utf8_lossy(&sink.until_count(1)[0].body).into_owned();
        assert!(message.contains("with ESMTPSA\r\n"), "{message}");
        // The second and third failure within the hour: one too many.
        let mut guesser = Encrypted::after_starttls(submission.number());
        let guess = format!("AUTH PLAIN {WRONG}");
        assert!(guesser.command(&guess).starts_with("535 5.7.8 "));
        assert!(guesser.command(&guess).starts_with("421 4.7.0 "));
        relay.stop();
    });
}

#[test]
fn a_proxy_says_whom_it_speaks_for_and_nobody_else_may() {
    with_each_reactor(|reactor| {
        let (next, proxied) = (Port::free(), Port::free());
        let listeners = listener(&proxied, "proxy_from = [\"127.0.0.1\"]\n");
        let (site, _) = site(Setup::new(reactor, &next), &listeners);
        let relay = site.start();
        let greeting = |header: &str| {
            let mut client = Client::connect(proxied.number()).expect("a connection");
            client.say(header.as_bytes()).expect("sent");
            (client.line().expect("a line or the end"), client)
        };
        // Loopback is trusted on other listeners; here the proxy's word counts.
        let (said, mut client) = greeting("PROXY TCP4 203.0.113.9 192.0.2.1 4000 25\r\n");
        assert!(said.starts_with("220 "), "{said}");
        let reply = client.send("a@b.example", "c@d.example", b"").expect("replies");
        assert!(reply.starts_with("503 ") || reply.starts_with("5"), "{reply}");
        client.command("EHLO x").expect("a reply");
        let reply = client.send("a@b.example", "c@d.example", b"").expect("replies");
        assert!(reply.starts_with("554 5.7.1 "), "{reply}");
        assert_eq!(greeting("EHLO x\r\n").0, "");
        assert_eq!(greeting("PROXY TCP4 127.0.0.1 192.0.2.1 4000 25\r\n").0, "");
        relay.stop();
    });
}

#[test]
fn a_renewed_certificate_is_shown_to_whoever_comes_next() {
    let next = Port::free();
    let (site, first) = site(Setup::new("auto", &next), "");
    let relay = site.start();
    let shown = || Encrypted::after_starttls(site.smtp()).certificate();
    assert_eq!(shown(), first);
    // A certificate alone fits no key: the old pair stays, and the log says why.
    let key = std::fs::read(site.path("key.pem")).expect("a key");
    let second = write_pair(&site.path(""));
    let fresh = std::fs::read(site.path("key.pem")).expect("a key");
    std::fs::write(site.path("key.pem"), key).expect("written");
    until("the pair is refused", || relay.said().contains("tls.refused"));
    assert_eq!(shown(), first);
    std::fs::write(site.path("key.pem"), fresh).expect("written");
    until("the new certificate is shown", || shown() == second);
    relay.stop();
}

#[test]
fn a_listener_that_must_encrypt_does_not_start_without_a_certificate() {
    let (next, submission) = (Port::free(), Port::free());
    let more = listener(&submission, "tls = \"implicit\"\n");
    let site = Site::new(&Setup { more, ..Setup::new("auto", &next) });
    let (code, said) = refusal(&mut site.serve());
    assert_eq!(code, 78);
    assert!(said.contains("there is no certificate"), "{said}");
}

#[test]
fn one_relay_encrypts_to_the_next_without_being_told() {
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let (far, _) = site(Setup::new(reactor, &next), "");
        let far_relay = far.start();
        let near = Site::new(&Setup { next: far.smtp(), ..Setup::new(reactor, &next) });
        let near_relay = near.start();
        sent(near.smtp(), "a@example.org", "b@example.net", "\r\nhello\r\n");
        let message = sink.until_count(1)[0].text();
        assert!(message.contains("with ESMTPS\r\n"), "{message}");
        until("it is logged", || near_relay.said().contains(" tls=1.3 "));
        near_relay.stop();
        far_relay.stop();
    });
}

#[test]
fn what_must_be_encrypted_waits_when_the_next_hop_cannot() {
    let next = Port::free();
    let _sink = Sink::start(&next);
    let more = "[delivery]\ntls = \"required\"\n".to_owned();
    let site = Site::new(&Setup { more, ..Setup::new("auto", &next) });
    let relay = site.start();
    sent(site.smtp(), "a@example.org", "b@example.net", "\r\nhello\r\n");
    until("the reason is told", || relay.said().contains("does not offer STARTTLS"));
    assert!(relay.said().contains("recipient.deferred"), "{}", relay.said());
    relay.stop();
}
