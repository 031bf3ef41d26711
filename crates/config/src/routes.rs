//! `[delivery]` and `[[route]]`.

use crate::section::Section;
use delivery::{Extension, IpVersion, Login, Pattern, Route, TlsWord, Via};
use std::net::IpAddr;

/// In the order of the key's words.
const WORDS: [TlsWord; 4] =
    [TlsWord::Opportunistic, TlsWord::Required, TlsWord::Verify, TlsWord::Off];

/// The options of delivery.
pub(crate) fn delivery_options(
    delivery: &Section<'_>,
    routes: &[Section<'_>],
    hostname: &str,
    eight_bit_bounces: bool,
) -> delivery::Options {
    delivery::Options {
        tls: WORDS[delivery.choice("tls")],
        eight_bit_bounces,
        port: u16::try_from(delivery.count("port")).expect("bounded by the table"),
        sessions: delivery.count("sessions") as usize,
        sessions_per_destination: delivery.count("sessions_per_destination") as usize,
        idle: delivery.duration("idle"),
        connect_timeout: delivery.duration("connect_timeout"),
        greeting_timeout: delivery.duration("greeting_timeout"),
        command_timeout: delivery.duration("command_timeout"),
        data_timeout: delivery.duration("data_timeout"),
        end_of_data_timeout: delivery.duration("end_of_data_timeout"),
        hello: hostname.into(),
        routes: routes.iter().map(route).collect(),
    }
}

fn route(section: &Section<'_>) -> Route {
    let to = section.list_of("to", |text| text.parse::<Pattern>().ok());
    if !section.has("to") {
        let help = "write to = [\"example.org\"], or to = [\"*\"] for all recipients";
        section.report(&section.place, "a route needs recipients".into(), help);
    }
    let (file, line) = section.place.file_and_line();
    Route {
        sessions: Some(section.count("sessions") as usize),
        messages_per_session: section.count("messages_per_session") as u32,
        source: source(section),
        hello: Some(section.text("hello")).filter(|name| !name.is_empty()).map(Into::into),
        ip: [IpVersion::Any, IpVersion::V4, IpVersion::V6][section.choice("ip")],
        tls: tls(section),
        login: section
            .login("auth")
            .map(|(user, password)| Login { user: user.into(), password: password.into() }),
        without: section.list_of("without", |text| {
            text.parse().ok().filter(|word| !matches!(word, Extension::Dsn))
        }),
        place: Some((file.into(), line)),
        ..Route::new(to, via(section))
    }
}

/// STARTTLS left out is as good as `off`.
fn tls(section: &Section<'_>) -> Option<TlsWord> {
    let without = section.list("without");
    if without.iter().any(|(word, _)| word.eq_ignore_ascii_case("STARTTLS")) {
        return Some(TlsWord::Off);
    }
    section.has("tls").then(|| WORDS[section.choice("tls")])
}

fn via(section: &Section<'_>) -> Via {
    section.text("via").parse().unwrap_or_else(|error: delivery::RouteError| {
        let help = "for example: via = \"smtp://192.0.2.25:25\"";
        section.report(&section.place_of("via"), error.to_string(), help);
        Via::Mx
    })
}

/// Local addresses: they must be addresses of this machine, which only a connection shows.
fn source(section: &Section<'_>) -> Vec<IpAddr> {
    section.list_of("source", |text| text.parse().ok())
}
