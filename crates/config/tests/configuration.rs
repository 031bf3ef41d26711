//! What a configuration means, and what is said about one that is wrong.

use config::{Config, Problems, load, load_text};
use std::path::Path;

const LEAST: &str = "hostname = \"relay.example.org\"\n[[listener]]\naddress = \"127.0.0.1:25\"\n";

fn read(text: &str) -> Result<Config, Problems> {
    load_text(Path::new("ringpost.toml"), text, None)
}

fn mistakes(text: &str) -> Vec<(usize, String, String)> {
    let problems = read(text).expect_err("mistakes").0;
    problems.iter().map(|p| (p.line(), p.message.clone(), p.help.clone())).collect()
}

#[test]
fn the_least_configuration_has_the_defaults_of_each_crate() {
    let config = read(LEAST).expect("good");
    let mut server = server::Options::default();
    server.smtp.hostname = "relay.example.org".into();
    server.smtp.origin = mail::Domain::parse("relay.example.org").ok();
    assert_eq!(config.server, server);
    assert_eq!(config.policy, policy::Options::default());
    let delivery =
        delivery::Options { hello: "relay.example.org".into(), ..delivery::Options::default() };
    assert_eq!(config.delivery, delivery);
    assert_eq!(config.queue.retry, queue::Retry::default());
    let queue = queue::Options::default();
    assert_eq!(config.queue.message_bytes, queue.message_bytes);
    assert_eq!(config.queue.spool_free, queue.spool_free);
    assert_eq!(config.queue.queue_messages, queue.queue_messages);
    assert_eq!(config.queue.return_bytes, queue.return_bytes);
    assert_eq!(&*config.listeners[0].options.name, "127.0.0.1:25");
}

#[test]
fn five_mistakes_are_told_at_once_each_with_its_line_and_a_remedy() {
    let text = "hostname = \"relay\"\n\
                [[listener]]\naddress = \"127.0.0.1\"\n\
                [retry]\nfrist = \"2m\"\nmax = \"5 days\"\n\
                [limits]\nsessions = -1\n";
    let found = mistakes(text);
    let lines: Vec<usize> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [1, 3, 5, 6, 8], "{found:#?}");
    assert!(found[2].2.contains("`first`"), "the nearest key is named: {:?}", found[2]);
    assert!(found[3].1.contains("duration"), "{:?}", found[3]);
    let shown = read(text).expect_err("mistakes").to_string();
    for part in ["ringpost.toml:5:1", "frist = \"2m\"", "did you mean `first`?", "5 errors"] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn broken_toml_and_unknown_sections_are_told_with_the_rest() {
    let found = mistakes(&format!("{LEAST}[retrry]\nfirst = \"2m\"\n[log]\nlevel = \"loud\"\n"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].2.contains("`retry`"), "{found:?}");
    assert!(found[1].1.contains("\"error\", \"warn\", \"info\", \"debug\""), "{found:?}");
    assert_eq!(mistakes(&format!("{LEAST}[log\n"))[0].0, 4);
}

#[test]
fn what_later_versions_know_is_unknown_now() {
    let found = mistakes(&format!("{LEAST}[checks]\nspf = \"note\"\n"));
    assert_eq!(found[0].1, "`checks` is no key at the top");
}

#[test]
fn certificates_users_and_doors_are_read() {
    let config = read(&format!(
        "{LEAST}tls = \"required\"\nkind = \"submission\"\nproxy_from = [\"192.0.2.7\"]\n\
         [tls]\ncertificate = \"/c\"\nkey = \"/k\"\nminimum = \"1.3\"\n\
         [[tls.name]]\nnames = [\"a.example\"]\ncertificate = \"/ac\"\nkey = \"/ak\"\n\
         [auth]\nusers = \"table:/users\"\n"
    ));
    let config = config.expect("good");
    let door = &config.listeners[0].options;
    assert_eq!(door.encryption, server::Encryption::Required);
    assert!(door.proxy_from.contains("192.0.2.7".parse().expect("an address")));
    let tls = config.tls.expect("certificates");
    assert!(tls.only_tls13 && tls.standard.certificate == Path::new("/c"));
    assert_eq!((tls.named.len(), tls.named[0].key.as_path()), (1, Path::new("/ak")));
    assert_eq!(config.users, Some(config::Users::Table("/users".into())));
}

#[test]
fn mistakes_within_sections_within_sections_are_found() {
    let found = mistakes(&format!(
        "{LEAST}tls = \"off\"\nkind = \"submission\"\n\
         [[tls.name]]\nname = \"x\"\ncertificate = \"/c\"\n[auth]\nusers = \"/users\"\n"
    ));
    let said: Vec<&str> = found.iter().map(|(_, message, _)| message.as_str()).collect();
    for part in
        ["without TLS", "`name` is no key in [tls.name]", "belong together", "`/users` says"]
    {
        assert!(said.iter().any(|message| message.contains(part)), "{part} in {said:?}");
    }
}

#[test]
fn off_switches_off_what_can_be_off() {
    let config = read(&format!(
        "{LEAST}[limits]\nsessions_per_client = \"off\"\nconnections_per_client = \"off\"\n\
         [smtp]\nerrors = \"off\"\ndata_rate = \"off\"\n[metrics]\nlisten = \"off\"\n"
    ))
    .expect("good");
    assert_eq!(config.policy.sessions_per_client, None);
    assert_eq!(config.policy.connections_per_client, None);
    assert_eq!(config.server.smtp.errors, u32::MAX);
    assert_eq!(config.server.smtp.data_rate, 0);
    assert_eq!(config.metrics, None);
}

#[test]
fn routes_keep_their_order_and_know_their_lines() {
    let config = read(&format!(
        "{LEAST}[[route]]\nto = [\"example.org\"]\nvia = \"smtp://192.0.2.25:2525\"\nsessions = 5\n\
         [[route]]\nto = \"*\"\nvia = \"mx\"\n"
    ))
    .expect("good");
    let routes = &config.delivery.routes;
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0].via.to_string(), "smtp://192.0.2.25:2525");
    assert_eq!(routes[0].sessions, Some(5));
    assert_eq!(routes[0].place, Some(("ringpost.toml".into(), 4)));
    let found = mistakes(&format!("{LEAST}[[route]]\nvia = \"192.0.2.25\"\n"));
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn included_files_are_read_by_name_and_a_key_set_twice_names_both_places() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ringpost.toml");
    let parts = directory.path().join("conf.d");
    std::fs::create_dir(&parts).expect("a directory");
    std::fs::write(&path, format!("include = [\"conf.d/*.toml\"]\n{LEAST}")).expect("written");
    std::fs::write(parts.join("b.toml"), "[relay]\ndomains = [\"b.example\"]\n").expect("written");
    std::fs::write(parts.join("a.toml"), "[relay]\ndomains = [\"a.example\"]\n").expect("written");
    let config = load(&path, None).expect("good");
    let domain = |name: &str| policy::DomainPattern::parse(name).expect("good");
    assert_eq!(config.policy.domains, [domain("a.example"), domain("b.example")]);
    std::fs::write(parts.join("c.toml"), "hostname = \"other.example.org\"\n").expect("written");
    let problems = load(&path, None).expect_err("set twice").to_string();
    assert!(problems.contains("set twice") && problems.contains("ringpost.toml:2"), "{problems}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let problems = load(Path::new("/nonexistent/ringpost.toml"), None).expect_err("no file");
    assert!(problems.to_string().contains("/nonexistent/ringpost.toml"));
}

#[test]
fn the_page_of_keys_is_up_to_date() {
    let page = std::fs::read_to_string("../../docs/configuration.md").expect("the page");
    assert!(page == config::document(), "run: ringpost documentation > docs/configuration.md");
}

#[test]
fn every_example_of_the_page_is_good() {
    for line in config::document().lines().filter(|line| line.starts_with("| `")) {
        let example = line.rsplit("| `").next().expect("a last column").trim_end_matches("` |");
        let key = example.split(' ').next().expect("a key");
        let cut = |text: &str| text.split(" = ").next().map(str::to_owned);
        assert_eq!(Some(key.to_owned()), cut(example), "{line}");
        assert!(toml::from_str::<toml::Table>(example).is_ok(), "{example}");
    }
}
