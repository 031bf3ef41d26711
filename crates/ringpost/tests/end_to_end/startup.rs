//! Whatever keeps a relay from starting gets one clear text and its own exit code.

use crate::relay::{Port, Relay, Setup, Site, refusal, with_each_reactor};
use std::path::{Path, PathBuf};

#[test]
fn five_mistakes_are_told_at_once_each_with_its_line() {
    let site = Site::new(&Setup::new("auto", &Port::free()));
    site.write(
        "hostname = \"relay.example\"\n\
         [runtime]\nthreds = 2\nreactor = \"kqueue\"\n\
         [[listener]]\naddress = \"127.0.0.1\"\n\
         [relay]\nnetworks = [\"127.0.0.0/33\"]\n\
         [retry]\nfirst = \"2 minutes\"\n",
    );
    let config = site.config().display().to_string();
    let checked = site.operate(&["check"]);
    let checked = (
        checked.status.code().expect("an exit"),
        String::from_utf8_lossy(&checked.stderr).into_owned(),
    );
    for (code, text) in [checked, refusal(&mut site.serve())] {
        assert_eq!(code, 78, "{text}");
        assert!(text.contains("5 errors in the configuration"), "{text}");
        for (line, word) in
            [(3, "threads"), (4, "kqueue"), (6, "127.0.0.1"), (8, "127.0.0.0/33"), (10, "first")]
        {
            let place = format!("{config}:{line}");
            assert!(text.contains(&place) && text.contains(word), "no {place}, {word} in\n{text}");
        }
    }
}

#[test]
fn a_configuration_that_is_missing_or_good_is_said_so() {
    let site = Site::new(&Setup::new("auto", &Port::free()));
    let check = |site: &Site| site.operate(&["check"]);
    let checked = check(&site);
    let text = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{text}");
    std::fs::remove_file(site.config()).expect("it is there");
    assert_eq!(check(&site).status.code(), Some(78));
    let (code, text) = refusal(&mut site.serve());
    assert!(code == 78 && text.contains("ringpost.toml"), "{code}: {text}");
}

#[test]
fn a_spool_of_a_newer_version_is_left_alone() {
    with_each_reactor(|reactor| {
        let site = Site::new(&Setup::new(reactor, &Port::free()));
        let relay = site.start();
        site.told(&["status"]);
        relay.stop();
        let segment = segments(site.spool()).pop().expect("a segment");
        let mut bytes = std::fs::read(&segment).expect("a segment that can be read");
        // docs/SPOOL.md: the version is at 8, its checksum over the bytes before it at 12.
        let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
        bytes[8..12].copy_from_slice(&(version + 1).to_le_bytes());
        let checksum = crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        std::fs::write(&segment, &bytes).expect("a segment that can be written");
        let (code, text) = refusal(&mut site.serve());
        assert_eq!(code, 78, "{text}");
        assert!(text.contains(&format!("format {}", version + 1)), "{text}");
        let after = std::fs::read(&segment).expect("it is still there");
        assert!(after == bytes, "the segment was written to");
    });
}

/// The segment files of a spool.
fn segments(spool: &Path) -> Vec<PathBuf> {
    let logs = std::fs::read_dir(spool).expect("a spool").flatten().map(|entry| entry.path());
    let files = logs
        .filter(|path| path.is_dir())
        .flat_map(|log| std::fs::read_dir(log).expect("a log").flatten().map(|entry| entry.path()));
    let header =
        |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"RINGPOST"));
    files.filter(header).collect()
}

/// RFC 3720 B.4, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn too_few_descriptors_are_told_with_the_number_needed() {
    with_each_reactor(|reactor| {
        let site = Site::new(&Setup::new(reactor, &Port::free()));
        let mut command = site.serve_behind(&[], "ulimit -n 64; exec \"$@\"");
        let (code, text) = refusal(&mut command);
        assert_eq!(code, 71, "{text}");
        assert!(text.contains("LimitNOFILE") && text.contains("64"), "{text}");
    });
}

#[test]
fn sessions_that_the_descriptors_do_not_allow_are_refused_and_a_default_is_fitted() {
    with_each_reactor(|reactor| {
        let mut setup = Setup::new(reactor, &Port::free());
        let site = Site::new(&setup);
        let few = || site.serve_behind(&[], "ulimit -n 1024; exec \"$@\"");
        let relay = Relay::start(&mut few());
        site.told(&["status"]);
        relay.stop();
        setup.more = "[limits]\nsessions = 5000\n".into();
        site.configure(&setup);
        let (code, text) = refusal(&mut few());
        assert!(code == 71 && text.contains("limits.sessions = 5000"), "{code}: {text}");
    });
}
