//! A relay's site whose spool is a mounted file system, and the cellar with its image.

use crate::block::{Cellar, Image, Kind, Mount};
use crate::relay::{Port, Relay, Setup, Site};
use crate::sink::{Refuse, Sink};
use crate::wait::until_some;

/// How large file systems are when nothing depends on it: the least that mkfs.xfs takes is 300 MiB.
pub(crate) const USUAL_BYTES: u64 = 512 << 20;

/// A sink on a port of its own.
///
/// Each start of a relay gets another one: a port that was listened at can be in use for a moment
/// more, in a child of this process that another test has forked and that has not become its
/// program yet.
pub(crate) struct NextHop {
    pub(crate) sink: Sink,
    port: Port,
}

impl NextHop {
    pub(crate) fn new(refuse: Refuse) -> Self {
        let port = Port::free();
        Self { sink: Sink::refusing(&port, refuse), port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }
}

/// What a test needs. The fields are dropped in this order.
pub(crate) struct Stage {
    mount: Option<Mount>,
    pub(crate) site: Site,
    setup: Setup,
    threads: usize,
    image: Option<Image>,
    pub(crate) cellar: Cellar,
    images: u32,
}

impl Stage {
    /// A site on a fresh file system. `more` goes into its configuration.
    pub(crate) fn new(reactor: &'static str, kind: Kind, bytes: u64, more: &str) -> Self {
        let cellar = Cellar::new();
        let image = cellar.image("first.img", kind, bytes);
        let mut setup = Setup::new(reactor, &Port::free());
        setup.more = more.to_owned();
        let site = Site::new(&setup);
        std::fs::create_dir(site.spool()).expect("a directory");
        let mount = image.mount(site.spool());
        Self { mount: Some(mount), site, setup, threads: 2, image: Some(image), cellar, images: 1 }
    }

    /// Another site with the same spool: another relay, with ports of its own.
    pub(crate) fn site_beside(&self) -> Site {
        Site::beside(&self.site, &self.setup)
    }

    /// A port for the next hop, where nobody listens yet, for the next start of the relay.
    pub(crate) fn silent_hop(&mut self) -> Port {
        let port = Port::free();
        self.setup.next = port.number();
        self.configure();
        port
    }

    /// A next hop for the next start of the relay.
    pub(crate) fn next_hop(&mut self, refuse: Refuse) -> NextHop {
        let hop = NextHop::new(refuse);
        self.setup.next = hop.port();
        self.configure();
        hop
    }

    /// The number of shards from the next start on.
    pub(crate) fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
        self.configure();
    }

    fn configure(&self) {
        self.site.configure(&self.setup);
        let text = std::fs::read_to_string(self.site.config()).expect("just written");
        let (before, after) = text.split_once("threads = 2\n").expect("a number of threads");
        self.site.write(&format!("{before}threads = {}\n{after}", self.threads));
    }

    /// Starts the relay as whatever looks after it would: again, while a process that was killed
    /// just before still has its port. (A ring lets go of a listener after its process is gone.)
    pub(crate) fn start(&self) -> Relay {
        until_some("a start with all ports free", || {
            let mut relay = Relay::spawn(&mut self.site.serve());
            let ready = until_some("ringpost ready", || {
                let said = relay.said();
                let ready = said.lines().any(|line| line == "ringpost ready");
                (ready || said.contains("Address already in use")).then_some(ready)
            });
            if !ready {
                assert_eq!(relay.ended().code(), Some(75));
            }
            ready.then_some(relay)
        })
    }

    pub(crate) fn mount(&self) -> &Mount {
        self.mount.as_ref().expect("mounted")
    }

    /// Unmounts the spool; nobody may use it.
    pub(crate) fn unmount(&mut self) {
        self.mount.take().expect("mounted").release();
    }

    /// Puts another file system in its place, which was unmounted.
    pub(crate) fn mount_instead(&mut self, mount: Mount) {
        assert!(self.mount.replace(mount).is_none(), "unmount the other one first");
    }

    /// Takes the spool out of the tree, whoever uses it.
    pub(crate) fn detach(&mut self) {
        self.mount.take().expect("mounted").detach();
    }

    /// Lets the device have a volatile cache; nobody may use the spool.
    pub(crate) fn put_behind_cache(&mut self) {
        self.unmount();
        let image = self.image.as_ref().expect("there is always one");
        image.until_unused();
        self.mount = Some(image.mount_behind_cache(self.site.spool()));
    }

    /// Mounts the spool's image again once nobody uses it.
    pub(crate) fn mount_again(&mut self) {
        let image = self.image.as_ref().expect("there is always one");
        image.until_unused();
        self.mount = Some(image.mount(self.site.spool()));
    }

    /// Copies the disk in one moment.
    pub(crate) fn snapshot(&mut self) -> Image {
        self.images += 1;
        let image = self.image.as_ref().expect("there is always one");
        self.cellar.clone_of(image, &format!("image-{}.img", self.images))
    }

    /// Goes on with `image` in place of what the spool lies in, which is forgotten.
    pub(crate) fn go_on_with(&mut self, image: Image) {
        self.unmount();
        self.mount = Some(image.mount(self.site.spool()));
        self.image.replace(image).expect("there is always one").remove();
    }
}
