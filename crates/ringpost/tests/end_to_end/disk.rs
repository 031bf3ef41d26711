//! A disk that is full, and one that is read-only: file systems of the tests' own, in memory, in a
//! mount namespace that ends with the relay.

use crate::peers::Client;
use crate::relay::{Port, Relay, Setup, Site, refusal, with_each_reactor};
use crate::sink::Sink;
use crate::wait::{until, until_some};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How a process gets a mount namespace: as root at once, else within a user namespace. `None`
/// where the kernel allows neither, which is printed.
fn unshare() -> Option<Vec<&'static str>> {
    let root = rustix::process::geteuid().is_root();
    let words = match root {
        true => vec!["unshare", "--mount"],
        false => vec!["unshare", "--mount", "--map-root-user"],
    };
    let mut probe = Command::new(words[0]);
    probe.args(&words[1..]).args(["mount", "-t", "tmpfs", "none", env!("CARGO_TARGET_TMPDIR")]);
    let allowed = probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !allowed {
        println!("skipped: no file system can be mounted; run it as root");
    }
    allowed.then_some(words)
}

/// A relay's command line on a spool that is a file system mounted with `options`.
fn on_tmpfs(site: &Site, wrapper: &[&str], options: &str) -> Command {
    std::fs::create_dir_all(site.spool()).expect("a directory");
    let spool = site.spool().display();
    let script = format!("mount -t tmpfs -o {options} none '{spool}' && exec \"$@\"");
    site.serve_behind(wrapper, &script)
}

#[test]
fn a_read_only_spool_is_told_and_ends_with_74() {
    let Some(wrapper) = unshare() else { return };
    with_each_reactor(|reactor| {
        let site = Site::new(&Setup::new(reactor, &Port::free()));
        let (code, text) = refusal(&mut on_tmpfs(&site, &wrapper, "ro"));
        assert_eq!(code, 74, "{text}");
        assert!(text.contains("read-only"), "{text}");
        let errors = text.lines().filter(|line| line.starts_with("ringpost: ")).count();
        assert_eq!(errors, 1, "one clear line: {text}");
    });
}

#[test]
fn a_full_disk_says_452_and_takes_mail_again_once_there_is_room() {
    let Some(wrapper) = unshare() else { return };
    with_each_reactor(|reactor| {
        let next = Port::free();
        let sink = Sink::start(&next);
        let mut setup = Setup::new(reactor, &next);
        setup.more = "[smtp]\nmessage_bytes = \"256KiB\"\n".into();
        let site = Site::new(&setup);
        let relay = Relay::start(&mut on_tmpfs(&site, &wrapper, "size=64m"));
        let mut accepted = 0;
        assert_eq!(send(&site), "250");
        accepted += 1;

        let ballast = fill(&relay, &site);
        until_some("a 452", || match send(&site).as_str() {
            "452" => Some(()),
            "250" => {
                accepted += 1;
                None
            }
            other => panic!("neither taken nor told that there is no room: {other}"),
        });
        assert!(!sink.until_count(accepted).is_empty(), "what was taken arrives");

        std::fs::remove_file(ballast).expect("the ballast is there");
        until("mail is taken again", || send(&site) == "250");
        sink.until_count(accepted + 1);
        site.until_queued(0);
        relay.stop();
    });
}

/// Sends 100 KiB; the code of the reply that decided.
fn send(site: &Site) -> String {
    let mut client = Client::greeted(site.smtp()).expect("a greeting");
    let body = format!("Subject: large\r\n\r\n{}", "words in a line\r\n".repeat(6000));
    let reply = client.send("a@client.example", "b@example.net", body.as_bytes());
    reply.expect("a reply")[..3].to_owned()
}

/// Fills the file system that only the relay sees, to its last block.
fn fill(relay: &Relay, site: &Site) -> PathBuf {
    let spool = site.spool().strip_prefix("/").expect("an absolute path");
    let inside = PathBuf::from(format!("/proc/{}/root", relay.pid())).join(spool);
    assert!(inside.join("LOCK").exists(), "not the relay's spool: {}", inside.display());
    let path = inside.join("ballast");
    let mut file = File::create(&path).expect("room for a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    path
}
