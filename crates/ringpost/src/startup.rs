//! What is settled before the first thread: names, limits, the user.

use crate::exit::{Failure, code};
use config::Config;

/// Descriptors that sessions cannot have: files of the spool, the control plane, libraries, and
/// one to say 421 with.
const DESCRIPTORS_RESERVED: u64 = 256;

/// This machine's full name: the node name if it has a dot, else what the hosts file completes it
/// to.
pub(crate) fn machine_name() -> Option<String> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().ok()?.to_owned();
    if name.contains('.') {
        return Some(name);
    }
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    completed(&hosts, &name)
}

/// The first full name on a line of the hosts file that has `short` too.
fn completed(hosts: &str, short: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let names: Vec<&str> = line.split_whitespace().skip(1).collect();
        let full = names.iter().find(|name| name.contains('.'))?;
        names.contains(&short).then(|| (*full).to_owned())
    })
}

/// Raises the limit of descriptors, and fits the number of sessions to it, or refuses one that was
/// set and does not fit.
pub(crate) fn fit_descriptors(config: &mut Config) -> Result<(), Failure> {
    let limit = reactor::raise_descriptor_limit();
    fit(config, limit)
}

fn fit(config: &mut Config, limit: u64) -> Result<(), Failure> {
    // A session holds one descriptor; each message it brings may need one on the way out.
    let outbound = config.delivery.sessions as u64;
    let needed = config.server.sessions + outbound + DESCRIPTORS_RESERVED;
    if needed <= limit {
        return Ok(());
    }
    let room = limit.saturating_sub(DESCRIPTORS_RESERVED);
    if config.sessions_are_explicit || room < 32 {
        return Err(Failure::new(
            code::OS,
            format!(
                "limits.sessions = {} and delivery.sessions = {outbound} need {needed} \
                 descriptors, but this process may have {limit}: raise LimitNOFILE= (systemd) or \
                 ulimit -n, or lower limits.sessions",
                config.server.sessions
            ),
        ));
    }
    // Unless the operator says otherwise, a third of the room is for sending.
    config.delivery.sessions = config.delivery.sessions.min((room / 3) as _);
    config.server.sessions = config.server.sessions.min(room - config.delivery.sessions as u64);
    Ok(())
}

/// A user of the system: name or number, with its primary group.
struct User {
    user: u32,
    group: u32,
}

/// Becomes `name`, before any thread is started.
pub(crate) fn become_user(name: &str) -> Result<(), Failure> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let Some(user) = find_user(&passwd, name) else {
        let text = format!("user = \"{name}\": there is no such user; make one, or write \"off\"");
        return Err(Failure::new(code::CONFIGURATION, text));
    };
    if rustix::process::geteuid().as_raw() == user.user {
        return Ok(());
    }
    let group = rustix::process::Gid::from_raw(user.group);
    let id = rustix::process::Uid::from_raw(user.user);
    // These calls concern one thread; there is only this one, and later ones inherit.
    rustix::thread::set_thread_groups(&[group])
        .and_then(|()| rustix::thread::set_thread_gid(group))
        .and_then(|()| rustix::thread::set_thread_uid(id))
        .map_err(|error| Failure::of_io(&format!("become user {name}"), &error.into()))
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        found.then_some(User { user, group })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_completed_by_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n192.0.2.7 mx.example.org mx # us\n";
        assert_eq!(completed(hosts, "mx"), Some("mx.example.org".into()));
        assert_eq!(completed(hosts, "other"), None);
    }

    #[test]
    fn a_user_is_found_by_its_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nringpost:x:990:991::/:/bin/false\n";
        let user = find_user(passwd, "ringpost").expect("a user");
        assert_eq!((user.user, user.group), (990, 991));
        assert!(find_user(passwd, "nobody").is_none());
    }
}
