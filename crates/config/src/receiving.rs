//! `[[listener]]`, `[tls]`, `[auth]`, `[relay]`, `[smtp]` and `[limits]`.

use crate::section::Section;
use crate::settings::{ListenerSettings, PairSettings, TlsSettings, Users};
use ipnet::IpNet;
use policy::{DomainPattern, Networks, Rate};
use server::{Encryption, ListenerOptions};
use smtp::{BareNewline, Extension, ExtensionSet, ListenerKind, Privacy};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[[listener]]`, at least one.
pub(crate) fn listeners(elements: &[Section<'_>], top: &Section<'_>) -> Vec<ListenerSettings> {
    if elements.is_empty() {
        let nowhere = top.place_of("hostname");
        top.report(
            &nowhere,
            "there is no [[listener]]".into(),
            "write [[listener]] and below it address = [\"0.0.0.0:25\", \"[::]:25\"]",
        );
    }
    let mut all: Vec<ListenerSettings> = Vec::new();
    for element in elements {
        let one = listener(element);
        if let Some(twin) = all.iter().find(|other| other.options.name == one.options.name) {
            let name = &one.options.name;
            let message = format!("two listeners are called `{name}`; the other: {}", twin.place);
            element.report(&element.place, message, "give each a name of its own");
        }
        all.push(one);
    }
    all
}

fn listener(element: &Section<'_>) -> ListenerSettings {
    let addresses: Vec<SocketAddr> = element.list_of("address", |text| text.parse().ok());
    if !element.has("address") {
        let help = "write address = \"127.0.0.1:25\"";
        element.report(&element.place, "a listener needs an address".into(), help);
    }
    let written = element.text("name");
    let first = addresses.first().map(ToString::to_string).unwrap_or_default();
    let name = if written.is_empty() { first } else { written };
    let kind = [ListenerKind::Relay, ListenerKind::Submission][element.choice("kind")];
    let encryptions =
        [Encryption::Opportunistic, Encryption::Required, Encryption::Implicit, Encryption::Off];
    let encryption = encryptions[element.choice("tls")];
    if kind == ListenerKind::Submission && encryption == Encryption::Off {
        let help = "write tls = \"required\" or tls = \"implicit\"";
        let message = "users cannot authenticate without TLS".to_owned();
        element.report(&element.place_of("tls"), message, help);
    }
    let options = ListenerOptions {
        name: name.into(),
        kind,
        encryption,
        proxy_from: Networks::new(element.list_of("proxy_from", network)),
        xclient_from: Networks::new(element.list_of("xclient_from", network)),
    };
    let place = place(element);
    ListenerSettings { options, addresses, place }
}

fn place(section: &Section<'_>) -> String {
    let (file, line) = section.place.file_and_line();
    format!("{file}:{line}")
}

/// `[tls]` and `[[tls.name]]`.
pub(crate) fn tls(tls: &Section<'_>, named: &[Section<'_>]) -> Option<TlsSettings> {
    let only_tls13 = tls.choice("minimum") == 1;
    let standard = pair(tls, Vec::new());
    let named = named.iter().filter_map(|section| {
        let names = section.list_of("names", |text| Some(text.into()));
        if names.is_empty() {
            let help = "write names = [\"mx2.example.org\"]";
            section.report(&section.place, "a certificate needs names".into(), help);
        }
        pair(section, names)
    });
    let named: Vec<PairSettings> = named.collect();
    if standard.is_none() && !named.is_empty() {
        let help = "write certificate and key in [tls] too";
        let message = "there is no certificate for clients that ask for another name".to_owned();
        tls.report(&tls.place_of("certificate"), message, help);
    }
    Some(TlsSettings { standard: standard?, named, only_tls13 })
}

/// A certificate and its key: both or neither.
fn pair(section: &Section<'_>, names: Vec<Box<str>>) -> Option<PairSettings> {
    match (section.optional_text("certificate"), section.optional_text("key")) {
        (Some(certificate), Some(key)) => Some(PairSettings {
            names,
            certificate: certificate.into(),
            key: key.into(),
            place: {
                let (file, line) = section.place_of("certificate").file_and_line();
                format!("{file}:{line}")
            },
        }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let help = "write certificate = \"…\" and key = \"…\"";
            let message = "a certificate and its key belong together".to_owned();
            section.report(&section.place_of("certificate"), message, help);
            None
        }
    }
}

/// `auth.users`.
pub(crate) fn users(auth: &Section<'_>) -> Option<Users> {
    let text = auth.optional_text("users")?;
    let path = |prefix| text.strip_prefix(prefix).filter(|path: &&str| path.starts_with('/'));
    if let Some(path) = path("table:") {
        return Some(Users::Table(PathBuf::from(path)));
    }
    if let Some(path) = path("dovecot:unix:") {
        return Some(Users::Dovecot(PathBuf::from(path)));
    }
    let message = format!("`{text}` says nothing of where users are");
    let help = "write users = \"table:/etc/ringpost/users\" or \"dovecot:unix:/run/dovecot/auth\"";
    auth.report(&auth.place_of("users"), message, help);
    None
}

/// `[smtp]` and `limits.sessions`.
pub(crate) fn server_options(
    smtp: &Section<'_>,
    limits: &Section<'_>,
    top: &Section<'_>,
    hostname: &str,
) -> server::Options {
    // Read for their bounds: there is one word for each yet.
    smtp.choice("vrfy");
    smtp.choice("expn");
    server::Options {
        sessions: limits.count("sessions"),
        smtp: smtp::ServerOptions {
            hostname: hostname.into(),
            banner: smtp.text("banner").into(),
            message_bytes: smtp.size("message_bytes"),
            recipients_per_message: smtp.count("recipients_per_message") as usize,
            hops: smtp.count("hops") as u32,
            command_timeout: smtp.duration("command_timeout"),
            data_timeout: smtp.duration("data_timeout"),
            data_rate: smtp.byte_rate("data_rate"),
            data_total: smtp.duration("data_total"),
            stress_timeout: smtp.duration("stress_timeout"),
            errors: smtp.optional_count("errors").map_or(u32::MAX, |errors| errors as u32),
            line_bytes: smtp.optional_size("line_bytes"),
            bare_newline: bare_newline(smtp, "bare_newline"),
            bare_newline_trusted: bare_newline(smtp, "bare_newline_trusted"),
            privacy: privacy(smtp),
            without: ExtensionSet::of(&smtp.list_of("without", Extension::parse)),
            hide_client: smtp.flag("hide_client"),
            origin: origin(top, hostname),
            ..smtp::ServerOptions::default()
        },
    }
}

fn bare_newline(smtp: &Section<'_>, name: &str) -> BareNewline {
    [BareNewline::Refuse, BareNewline::Normalise][smtp.choice(name)]
}

fn privacy(smtp: &Section<'_>) -> Privacy {
    let mut privacy = Privacy::default();
    smtp.list_of("privacy", |word| privacy_word(word).then(|| word.to_owned())).iter().for_each(
        |word| {
            privacy.add(word);
        },
    );
    privacy
}

fn privacy_word(word: &str) -> bool {
    Privacy::default().add(word)
}

/// `origin`: the hostname, unless something else is said.
fn origin(top: &Section<'_>, hostname: &str) -> Option<mail::Domain> {
    if !top.has("origin") {
        return mail::Domain::parse(hostname).ok();
    }
    let written = top.optional_text("origin")?;
    let domain = mail::Domain::parse(&written).ok();
    if domain.is_none() {
        let message = format!("`{written}` is no domain");
        top.report(&top.place_of("origin"), message, "for example: origin = \"example.org\"");
    }
    domain
}

/// A network; a bare address is a network of one.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

/// A SHA-256 fingerprint, with or without colons.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// `[relay]`, `auth.failures` and the per-client part of `[limits]`.
pub(crate) fn policy_options(
    relay: &Section<'_>,
    limits: &Section<'_>,
    auth: &Section<'_>,
) -> policy::Options {
    let rate =
        |rate: Option<(u32, std::time::Duration)>| rate.map(|(count, per)| Rate { count, per });
    policy::Options {
        networks: relay.list_of("networks", network),
        client_certificates: relay.list_of("client_certificates", fingerprint),
        domains: relay.list_of("domains", |text| DomainPattern::parse(text).ok()),
        exempt: limits.list_of("exempt", network),
        sessions_per_client: limits.optional_count("sessions_per_client").map(|n| n as u32),
        connections_per_client: rate(limits.optional_rate("connections_per_client")),
        auth_failures: rate(auth.optional_rate("failures")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let plain = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let bytes = fingerprint(plain).expect("good");
        assert_eq!((bytes[0], bytes[31]), (0x9f, 0x08));
        let pairs: Vec<&str> = (0..32).map(|index| &plain[2 * index..2 * index + 2]).collect();
        assert_eq!(fingerprint(&pairs.join(":")), Some(bytes));
        assert_eq!(fingerprint(&plain[1..]), None);
        assert_eq!(fingerprint(&plain.replace('9', "g")), None);
    }
}
